"""An object of a cluster that the stack writes, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

ObjectKey = tuple[str, str, str, str]
"""Cluster, kind, namespace (empty for none) and name of an object."""


@dataclass(frozen=True, kw_only=True)
class OwnedObject:
    """One existing object under a name that the stack uses, or somebody's claim to that name.

    Attributes:
        cluster: where it is.
        namespace: of the object; empty for a kind that has none.
        kind: such as ``ConfigMap``.
        name: of the object.
        owner: ``<project>/<stack>`` that its annotation names; None without one, which is so for
            everybody else's objects and for those that a release before this annotation wrote.
        trust_domain: of the owner, as its annotation says.
        by_program: a stack of this program wrote it (its field manager, in ``managedFields``).
        declared: the stack file asks for it.
        through: entry of the object that claims this one, which itself was not read: the issuer of
            a CA Secret. Empty for an object that was read.
        unlike: what in it nobody can change and the stack needs otherwise, so that it can never
            become the stack's; ends a sentence, and is empty for all others.
    """

    cluster: str
    namespace: str
    kind: str
    name: str
    owner: str | None
    trust_domain: str | None = None
    by_program: bool = False
    declared: bool = True
    through: str = ""
    unlike: str = ""

    @property
    def entry(self) -> str:
        """Its name in the setting ``adopt``: ``dev/shop/ConfigMap/mesh-trust``."""
        parts = (self.cluster, self.namespace, self.kind, self.name)
        return "/".join(part for part in parts if part)

    @property
    def key(self) -> ObjectKey:
        """Tells it from every other object of the stack's clusters."""
        return self.cluster, self.kind, self.namespace, self.name


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a stack calls its own.

    Attributes:
        owner: ``<project>/<stack>``.
        former: its names before it was renamed.
        adopt: entries of objects that become its own, whoever made them.
    """

    owner: str = ""
    former: frozenset[str] = field(default_factory=frozenset)
    adopt: frozenset[str] = field(default_factory=frozenset)

    def holds(self, owner: str | None) -> bool:
        """Whether an owner that an annotation names is this stack."""
        return owner is not None and (owner == self.owner or owner in self.former)

    def left(self, found: OwnedObject) -> OwnedObject | None:
        """Return an object that the stack file does not ask for as left behind, None for others'.

        The annotation alone is no proof: it goes with a manifest that somebody copies.
        """
        if found.by_program and self.holds(found.owner):
            return replace(found, declared=False)
        return None
