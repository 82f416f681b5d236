"""Which resources trust hangs on, and what becomes of a resource."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from mtls_pki.engine.digest import (
    BUNDLE,
    CERTIFICATE,
    COMPONENT,
    GATE,
    KUBERNETES_SECRET,
    Step,
)

# The last two are of stacks that an older release applied last.
_ISSUERS = frozenset(f"{COMPONENT}{name}" for name in ("Issuer", "CaIssuer", "VaultIssuer"))

_CERT_MANAGERS = frozenset(
    f"kubernetes:cert-manager.io/v1:{kind}" for kind in ("Issuer", "ClusterIssuer")
)
KEY = "tls:index/privateKey:PrivateKey"


class Fate(enum.StrEnum):
    """What becomes of an object."""

    CREATED = "created"
    UPDATED = "updated"
    REPLACED = "replaced"
    DELETED = "deleted"
    SAME = "same"


def fate(step: Step) -> Fate:
    """Return what becomes of the resource of ``step``."""
    if "replace" in step.op:
        return Fate.REPLACED
    if step.op.startswith(("create", "import")):
        return Fate.CREATED
    if step.op.startswith(("delete", "discard")):
        return Fate.DELETED
    return Fate.UPDATED if step.changes else Fate.SAME


def is_issuer(step: Step) -> bool:
    """Return whether it is an issuer: one of cert-manager's own, or an external one of the stack.

    External kinds end in ``Issuer`` too (``StepClusterIssuer``, ``AWSPCAIssuer``).
    """
    external = step.kind.endswith("Issuer") and not _ISSUERS.isdisjoint(step.parents)
    return step.kind in _CERT_MANAGERS or external


def is_ca_secret(step: Step) -> bool:
    """Return whether it is the Secret that an issuer of the stack signs with."""
    return step.kind == KUBERNETES_SECRET and not _ISSUERS.isdisjoint(step.parents)


def is_trust(step: Step) -> bool:
    """Whether ``trust_change`` tells of the resource of ``step``."""
    return (
        step.kind in {CERTIFICATE, KEY}
        or is_issuer(step)
        or step.kind.startswith(COMPONENT)
        or bool({GATE, BUNDLE} & {*step.parents})
        or is_ca_secret(step)
    )


def once(steps: Iterable[Step]) -> list[Step]:
    """Return one step a resource, whatever the order of the steps.

    A replacement is told in up to three, the middle one whole. What an update that was broken off
    left to be deleted is told beside the resource that took its place, and is not that one's fate.
    """
    found: dict[tuple[tuple[str, ...], str, str], Step] = {}
    for step in steps:
        key = (step.parents, step.kind, step.name)
        if key not in found or _weight(step) > _weight(found[key]):
            found[key] = step
    return list(found.values())


def _weight(step: Step) -> int:
    if step.op == "replace":
        return 2
    return 0 if step.op.startswith(("delete", "discard")) else 1
