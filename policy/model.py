"""What rules read and what they return: plain values, no type of the policy SDK."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mtls_pki.engine.findings import REMEDY
from mtls_pki.pki.key_text import holds_private_key

JsonSchema = Mapping[str, Any]
Parameters = Mapping[str, Any]
Level = Literal["mandatory", "advisory", "disabled"]


class _Unknown(enum.Enum):
    UNKNOWN = enum.auto()


UNKNOWN: Final = _Unknown.UNKNOWN
"""Stands for a value that is known only after the update, or that could not be decrypted."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the engine shows it to a policy.

    Attributes:
        urn: its URN.
        type: its type token.
        name: its name in the program.
        properties: inputs for a rule on one resource, outputs for a rule on the stack; mappings,
            lists, texts, numbers, booleans and :data:`UNKNOWN`. Secrets are in clear text.
        protect: the option.
        provider: name of its provider, which is the cluster's; None for components and the stack.
        parent: URN of its parent, if it has one.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any] = field(repr=False)
    protect: bool = False
    provider: str | None = None
    parent: str | None = None

    def at(self, *path: str) -> Any:
        """Return the value at ``path``: None where there is none, UNKNOWN below an unknown."""
        value: Any = self.properties
        for step in path:
            if value is UNKNOWN:
                return UNKNOWN
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def text(self, *path: str) -> str | None:
        """Return the known text at ``path``, else None."""
        value = self.at(*path)
        return value if isinstance(value, str) else None

    def texts(self, *path: str) -> tuple[str, ...]:
        """Return the known texts of the list at ``path``."""
        value = self.at(*path)
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()

    def is_below(self, component: str) -> bool:
        """Tell whether a component of this type is its parent, its parent's parent, and so on."""
        ancestors = self.urn.split("::")[2].split("$")[:-1]
        return component in ancestors

    @property
    def is_patch(self) -> bool:
        """Whether it states only some fields of an object; somebody else states the others."""
        return self.type.startswith("kubernetes:") and self.type.endswith("Patch")

    @property
    def object_type(self) -> str:
        """Its type; of a patch, the type of what it patches."""
        return self.type.removesuffix("Patch") if self.is_patch else self.type

    @property
    def kind(self) -> str:
        """The last part of the type: ``Certificate``, ``Mount``."""
        return self.type.rpartition(":")[2]

    @property
    def namespace(self) -> str | None:
        """Of a Kubernetes object, where known."""
        return self.text("metadata", "namespace")

    @property
    def label(self) -> str:
        """Its name for people: ``Certificate shop/web in prod-eu``, ``Mount pki-g1``."""
        if not self.type.startswith("kubernetes:"):
            return f"{self.kind} {self.name}"
        object_name = self.text("metadata", "name") or self.name
        place = f"{self.namespace}/{object_name}" if self.namespace else object_name
        return f"{self.kind} {place}" + (f" in {self.provider}" if self.provider else "")


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All resources of a stack, with their outputs.

    Attributes:
        resources: in the order of their URNs.
    """

    resources: tuple[Resource, ...]

    @property
    def exports(self) -> Resource | None:
        """The stack's own resource, whose properties are what it exports."""
        return next((r for r in self.resources if r.type == "pulumi:pulumi:Stack"), None)

    def of(self, *types: str) -> Iterator[Resource]:
        """Yield the resources of these types, and the patches of such."""
        return (r for r in self.resources if r.object_type in types)

    def clusters(self) -> Iterator[tuple[str, Stack]]:
        """Yield the Kubernetes objects by the name of their provider."""
        by_provider: dict[str, list[Resource]] = {}
        for resource in self.resources:
            if resource.type.startswith("kubernetes:") and resource.provider is not None:
                by_provider.setdefault(resource.provider, []).append(resource)
        for provider, resources in by_provider.items():
            yield provider, Stack(resources=tuple(resources))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One violation.

    Attributes:
        place: the object: ``Certificate shop/web in prod-eu``.
        problem: what is wrong with it, the value included; never a secret.
        urn: of the resource.
    """

    place: str
    problem: str
    urn: str


def about(resource: Resource, problem: str) -> Finding:
    """Return the finding that ``resource`` has ``problem``."""
    return Finding(place=resource.label, problem=problem, urn=resource.urn)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the pack.

    Attributes:
        name: as the pack's configuration names it.
        description: what must hold, in one sentence.
        remedy: what to do about a finding, in the imperative.
        parameters: JSON schema of each parameter, with its default.
        level: unless the configuration says otherwise.
    """

    name: str
    description: str
    remedy: str
    parameters: Mapping[str, JsonSchema] = field(default_factory=dict)
    level: Level = "mandatory"

    @property
    def defaults(self) -> Parameters:
        """The parameters as they are without configuration."""
        return {name: schema["default"] for name, schema in self.parameters.items()}

    def message(self, finding: Finding) -> str:
        """Return the message for a finding: object, problem and remedy; the SDK adds the rule."""
        said = f"{finding.place}: {finding.problem}"
        # Rules quote names, durations and so on, and such a text may hold a key by mistake.
        shown = "a value that it names is a private key" if holds_private_key(said) else said
        return f"{shown}.{REMEDY}{self.remedy}."


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """A rule on the inputs of one resource, judged before anything is done to it."""

    find: Callable[[Resource, Parameters], Iterable[Finding]]


@dataclass(frozen=True, kw_only=True)
class StackRule(Rule):
    """A rule on how resources fit together, judged when all of them are there."""

    find: Callable[[Stack, Parameters], Iterable[Finding]]
