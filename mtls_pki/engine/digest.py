"""What ``pulumi preview --json`` printed, as plain data without a secret in it.

The form is the engine's ``PreviewDigest`` (pulumi 3.259.0, pkg/display/json.go). The engine blinds
secrets; here the values of Secrets and every PEM private key are taken out once more, before
anything else sees them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtls_pki.rotation.owned_object import ObjectKey
from mtls_pki.rotation.text import redacted

SECRET = "[secret]"  # noqa: S105 what the engine puts in the place of one
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands in a digest for a text that is not known before the update (sdk/go/common/resource)."""

STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"
KUBERNETES = "kubernetes:"
KUBERNETES_SECRET = f"{KUBERNETES}core/v1:Secret"
CERTIFICATE = f"{KUBERNETES}cert-manager.io/v1:Certificate"
COMPONENT = "mtls-pki:index:"
GATE, BUNDLE = (f"{COMPONENT}{name}" for name in ("TrustGate", "TrustBundle"))
"""Types of the components that trust hangs on."""

_SECRET_FIELDS = ("data", "stringData")


class DigestError(ValueError):
    """The text is no preview; the message says what it is instead."""


# The engine's operations (pulumi, pkg/resource/deploy/step.go) that leave a resource as it is.
_NO_CHANGE = frozenset({"same", "read", "refresh"})


def is_change(op: str) -> bool:
    """Tell whether a step of this operation does anything to its resource."""
    return op not in _NO_CHANGE


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one resource.

    Attributes:
        op: the engine's word: ``create``, ``update``, ``replace``, ``delete``, ``same``, ...
        kind: its type, such as ``kubernetes:core/v1:Secret``.
        parents: types of the components around it, the outermost first.
        name: its name in the program.
        urn: its whole name.
        provider: name of its provider; that of a Kubernetes resource is called as its cluster.
        old: inputs before, empty for a resource that is new; secrets are ``SECRET``.
        new: inputs after, empty for one that goes.
        fields: what the provider says changes, for what inputs do not show.
        protected: it may not be deleted; before, or after for one that is new.
        retained: what it stands for stays when it goes.
        secret: it holds secrets, or what reaches a cluster, so that no value of it is shown.
    """

    op: str
    kind: str
    name: str
    urn: str = ""
    parents: tuple[str, ...] = ()
    provider: str = ""
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    protected: bool = False
    retained: bool = False
    secret: bool = False

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs after, or those before of a resource that goes."""
        return self.new or self.old

    @property
    def object(self) -> ObjectKey | None:
        """The Kubernetes object that it is; None for other resources."""
        return object_of(self.kind, self.provider, self.inputs)

    @property
    def changes(self) -> bool:
        """Whether anything happens to it."""
        return is_change(self.op)


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """What the program, a provider or the engine said; ``resource`` is a name, empty for none."""

    severity: str
    message: str
    resource: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One preview.

    Attributes:
        stack: its name, empty where no step tells it.
        project: likewise.
        steps: by type and name, for the engine's order differs from run to run; without that of
            the stack itself.
        diagnostics: in their order.
        config: what the stack's configuration says, by key without the project's name; values are
            JSON where they are mappings or lists.
    """

    stack: str
    project: str
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


def read_preview(text: str) -> Preview:
    """Return the preview that ``text`` is.

    Raises:
        DigestError: it is not what ``pulumi preview --json`` prints.
    """
    try:
        digest = _clean(json.loads(text))
    except json.JSONDecodeError as error:
        raise DigestError(f"not JSON ({error}); give what `pulumi preview --json` prints") from None
    except RecursionError:
        raise DigestError("no preview: it is nested too deep") from None
    if not isinstance(digest, dict) or not _KEYS & set(digest):
        raise DigestError(
            "JSON, but no preview: it has neither steps nor diagnostics; give what `pulumi preview "
            "--json` prints"
        )
    steps = _all_located(digest.get("steps"))
    first = steps[0][0] if steps else None
    return Preview(
        stack=first.stack if first else "",
        project=first.project if first else "",
        steps=_without_stack(steps),
        diagnostics=tuple(map(_diagnostic, _mappings(digest.get("diagnostics")))),
        config={
            str(key).partition(":")[2]: _decoded(value)
            for key, value in mapping(digest.get("config")).items()
        },
    )


def provider_name(reference: str) -> str:
    """Return the name of the provider that ``URN::ID`` names, empty for none.

    That of a Kubernetes resource is called as its cluster.
    """
    return reference.split("::")[-2] if reference.count("::") >= 2 else ""


def object_of(kind: str, cluster: str, inputs: Mapping[str, Any]) -> ObjectKey | None:
    """Return the Kubernetes object that a resource of this type is; None for other resources."""
    metadata = mapping(inputs.get("metadata"))
    if not kind.startswith(KUBERNETES) or "name" not in metadata:
        return None
    namespace = metadata.get("namespace", "")
    return cluster, str(inputs.get("kind", "")), str(namespace), str(metadata["name"])


def steps_of(found: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return steps of the form that a digest has, without that of the stack itself."""
    return _without_stack(_all_located(_clean(list(found))))


_KEYS = {"steps", "diagnostics", "config"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Urn:
    """``urn:pulumi:STACK::PROJECT::TYPE$TYPE::NAME``, the outermost type first."""

    stack: str
    project: str
    types: tuple[str, ...]
    name: str


_Located = tuple[_Urn, Mapping[str, Any]]


def _all_located(found: Any) -> list[_Located]:
    located = [each for each in map(_located, _mappings(found)) if each is not None]
    return sorted(located, key=lambda each: (each[0].types, each[0].name))


def _without_stack(located: Iterable[_Located]) -> tuple[Step, ...]:
    return tuple(_step(urn, step) for urn, step in located if urn.types[-1] != STACK)


def _located(step: Mapping[str, Any]) -> _Located | None:
    """Return a step with its URN; None for what has none."""
    parts = str(step.get("urn", "")).removeprefix("urn:pulumi:").split("::", 3)
    if len(parts) != 4:
        return None
    stack, project, types, name = parts
    return _Urn(stack=stack, project=project, types=tuple(types.split("$")), name=name), step


def _step(urn: _Urn, step: Mapping[str, Any]) -> Step:
    kind, op = urn.types[-1], str(step.get("op", ""))
    old, new = (mapping(step.get(key)) for key in ("oldState", "newState"))
    before, after = (_inputs(state, kind) for state in (old, new))
    if op == "same":
        before = after = after or before
    reference = str(step.get("provider") or new.get("provider") or old.get("provider") or "")
    named = [*mapping(step.get("detailedDiff")), *_list(step.get("replaceReasons"))]
    was, is_ = (bool(state.get("protect")) for state in (old, new))
    return Step(
        op=op,
        kind=kind,
        name=urn.name,
        urn=str(step.get("urn", "")),
        parents=urn.types[:-1],
        provider=provider_name(reference),
        old=before if op != "create" else {},
        new=after if not op.startswith(("delete", "discard")) else {},
        fields=tuple(dict.fromkeys(map(str, named or _list(step.get("diffReasons"))))),
        protected=was if old else is_,
        # What the engine goes by is in its state, not in the program.
        retained=bool(old.get("retainOnDelete")),
        secret=kind == KUBERNETES_SECRET
        or kind.startswith(PROVIDER)
        or any(state.get("additionalSecretOutputs") for state in (old, new))
        or any(map(_holds_secret, (before, after))),
    )


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    urn = str(found.get("urn", ""))
    return Diagnostic(
        severity=str(found.get("severity", "")),
        message=str(found.get("message", "")),
        resource=urn.split("::", 3)[3] if urn.count("::") >= 3 else "",
    )


def _inputs(state: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    inputs = mapping(state.get("inputs"))
    if kind != KUBERNETES_SECRET:
        return inputs
    return {key: SECRET if key in _SECRET_FIELDS else value for key, value in inputs.items()}


def mapping(value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    return (each for each in _list(value) if isinstance(each, dict))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _clean(value: Any) -> Any:
    """Return JSON-able data in which no text holds a private key."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {redacted(key): _clean(each) for key, each in value.items()}
    return value


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, json.JSONDecodeError, RecursionError):
        return value


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_secret, value.values()))
    if isinstance(value, list):
        return any(map(_holds_secret, value))
    return bool(value == SECRET)
