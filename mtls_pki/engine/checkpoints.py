"""Whether an update may write its state once, at its end, in place of twice for each resource.

A run that is killed then leaves the state of before. Nothing is lost by that where the next run can
do all of it again over itself (docs/decisions/0028): server-side apply under one field manager
writes what is there already, and a deletion finds nothing. What is left is an object that was
created, whose line in the stack file is gone before the next run: so only such kinds may be created
of which ``mtls-pki status`` names objects that nobody declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mtls_pki.engine.digest import (
    BUNDLE,
    CERTIFICATE,
    COMPONENT,
    GATE,
    KUBERNETES,
    KUBERNETES_SECRET,
    PROVIDER,
    Step,
)

# From here on the checkpoints of the Certificates take longer than a second start of the program.
_MANY = 20
# What the sources of evidence list (clusters.sources), or what stays in a cluster anyway.
_FOUND_AGAIN = frozenset(
    {
        CERTIFICATE,
        "kubernetes:cert-manager.io/v1:ClusterIssuer",
        "kubernetes:cert-manager.io/v1:Issuer",
        "kubernetes:core/v1:Namespace",
    }
)
_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_LISTED_CONFIG_MAPS = frozenset({BUNDLE, GATE})

_MAKES = {"create": "creates", "create-replacement": "replaces", "replace": "replaces"}
_ENDS = {"delete": "deletes", "delete-replaced": "replaces"}
_DOING = {"update": "updates", **_MAKES, **_ENDS}


def needs_checkpoints(steps: Iterable[Step]) -> list[str]:
    """Return why every step must be written at once; empty where the state may be written last."""
    return list(dict.fromkeys(_reasons(steps)))


def first_targets(steps: Sequence[Step]) -> list[str]:
    """Return the URNs of what a first update does with every checkpoint; a second needs none then.

    That is all that changes but the Certificates, where they are many, and come after whatever is
    made for them: an issuer, its CA Secret, its key. Empty where two updates would gain nothing, or
    where something that needs checkpoints goes: a Certificate of now may still name it.
    """
    changing = [step for step in steps if step.changes]
    others = [step for step in changing if step.kind != CERTIFICATE]
    goes = any(step.op not in ("create", "update") for step in others)
    few = len(changing) - len(others) < _MANY
    return [] if few or goes or not needs_checkpoints(others) else [step.urn for step in others]


def _reasons(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        if step.changes and not _repeatable(step):
            doing = _DOING.get(step.op, f"makes the step {step.op} of")
            guarded = "the protected " if step.protected else ""
            yield f"it {doing} {guarded}{step.kind.rpartition(':')[2]} {step.name}"


def _repeatable(step: Step) -> bool:
    if step.op == "update":
        return step.kind.startswith((COMPONENT, PROVIDER, KUBERNETES))
    if step.protected:
        return False
    if step.kind.startswith(COMPONENT):
        return True
    if step.kind.startswith(PROVIDER):
        # Another provider is another place for everything that was made with it.
        return step.op in ("create", "delete")
    if not step.kind.startswith(KUBERNETES) or step.kind == KUBERNETES_SECRET:
        return False
    if step.op in _ENDS:
        return True
    return step.op in _MAKES and _is_found_again(step)


def _is_found_again(step: Step) -> bool:
    if step.kind == _CONFIG_MAP:
        return not _LISTED_CONFIG_MAPS.isdisjoint(step.parents)
    return step.kind in _FOUND_AGAIN
