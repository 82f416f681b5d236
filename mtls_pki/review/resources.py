"""What a review says of resources: what deserves a second look, and what is no part of trust."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mtls_pki.engine.digest import BUNDLE, GATE, PROVIDER, UNKNOWN, Step, mapping
from mtls_pki.pages.document import Code, Item, Line
from mtls_pki.review.kinds import Fate, fate, is_trust, once
from mtls_pki.rotation.owned_object import ObjectKey
from mtls_pki.rotation.text import NAMED, named

_NAMESPACE = "kubernetes:core/v1:Namespace"
_PACKAGES = {"kubernetes": "Kubernetes", "tls": "TLS", "vault": "Vault"}


def dangers(steps: Iterable[Step]) -> Iterator[Item]:
    """Yield what deserves a second look although nothing need be wrong with the change."""
    for step in once(steps):
        became = fate(step)
        lost = step.protected or bool({GATE, BUNDLE} & {*step.parents}) or step.kind == _NAMESPACE
        guarded = "is protected and " if step.protected else ""
        because = f", because of {', '.join(step.fields[:NAMED])}" if step.fields else ""
        if became is Fate.REPLACED:
            text = f"{guarded}would be replaced{because}"
        elif became is Fate.DELETED and step.kind == _NAMESPACE and step.retained:
            text = "leaves the stack, and stays in the cluster with all that is in it"
        elif became is Fate.DELETED and lost:
            text = f"{guarded}would be deleted"
        elif became is Fate.UPDATED and BUNDLE in step.parents and (taken := _taken(step)):
            text = f"no longer has {''.join(named(taken))}, which workloads may rely on"
        elif became is Fate.UPDATED and step.kind.startswith(PROVIDER):
            text = f"reaches its cluster or service in another way{because}"
        else:
            continue
        yield Item(line=Line(Code(text=step.name), f" ({_kind(step)}) ", text))


def others(steps: Iterable[Step]) -> Iterator[Item]:
    """Yield the resources that are no part of trust, counted by kind and fate."""
    groups: dict[tuple[str, Fate], list[Step]] = {}
    for step in once(steps):
        if step.changes and not is_trust(step):
            groups.setdefault((_kind(step), fate(step)), []).append(step)
    for (kind, became), found in sorted(groups.items()):
        fields = sorted({name for step in found for name in step.fields})
        changed = (", in ", *named(fields)) if became is Fate.UPDATED and fields else ()
        names = named(step.name for step in found)
        yield Item(line=Line(kind, f": {len(found)} {became} (", *names, ")", *changed))


def left_behind(steps: Iterable[Step], undeclared: Iterable[ObjectKey]) -> Iterator[Item]:
    """Yield objects of the stack that it does not declare, and that this change does not delete."""
    known = {step.object for step in steps}
    for key in undeclared:
        if key not in known:
            cluster, kind, namespace, name = key
            place = f"{namespace}/{name}" if namespace else name
            yield Item(
                line=Line(
                    Code(text=f"{kind} {place}"),
                    f" in {cluster}: this stack wrote it, neither the stack file nor the state "
                    "knows it; ",
                    Code(text="mtls-pki prune"),
                    " removes it",
                )
            )


def _taken(step: Step) -> list[str]:
    """What of a trust bundle is no longer where workloads find it: keys, and namespaces."""
    if UNKNOWN in (step.new.get("data"), step.new.get("spec")):
        return []
    return sorted(_offered(step.old) - _offered(step.new))


def _offered(inputs: Mapping[str, Any]) -> set[str]:
    target = mapping(mapping(inputs.get("spec")).get("target"))
    key = mapping(target.get("configMap")).get("key")
    found = {f"key {each}" for each in (*mapping(inputs.get("data")), key) if each is not None}
    expressions = mapping(target.get("namespaceSelector")).get("matchExpressions")
    for expression in expressions if isinstance(expressions, list) else ():
        values = mapping(expression).get("values")
        found |= {f"namespace {each}" for each in (values if isinstance(values, list) else ())}
    return found


def _kind(step: Step) -> str:
    """``Vault SecretBackendRole``, ``Kubernetes Namespace``."""
    if step.kind.startswith(PROVIDER):
        return f"provider {step.kind.removeprefix(PROVIDER)}"
    package, _, rest = step.kind.partition(":")
    return f"{_PACKAGES.get(package, package)} {rest.rpartition(':')[2]}"
