"""What backends and consumers add to the settings, handed in by who composes the program.

The settings know no backend and no consumer by name: each brings a row of these, with its section
of the stack file and its rules (:mod:`mtls_pki.backends`, :mod:`mtls_pki.consumers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mtls_pki.pki.signer_names import GROUP
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.section import Section

if TYPE_CHECKING:
    from mtls_pki.settings.model import Settings

IssuerScope = Literal["ClusterIssuer", "Issuer"]
"""``issuing.kind``: one issuer for all namespaces of a cluster, or one in each."""

Rule = Callable[["Settings"], Iterator[Mistake]]
"""A rule that relates settings to each other: yields one mistake for each breach."""


@dataclass(frozen=True, kw_only=True)
class IssuerApi:
    """The API that the issuer objects of a backend belong to.

    Attributes:
        group: API group, ``issuerRef.group``.
        version: its version.
        issuer: kind of an issuer for one namespace, where ``issuing.kind`` is ``Issuer``.
        cluster_issuer: kind of one for all, where it is ``ClusterIssuer``.
    """

    group: str
    version: str
    issuer: str
    cluster_issuer: str

    @property
    def api_version(self) -> str:
        """What ``apiVersion`` of its objects says."""
        return f"{self.group}/{self.version}"

    def kind(self, scope: IssuerScope) -> str:
        """Return the kind of its objects for what ``issuing.kind`` says."""
        return self.issuer if scope == "Issuer" else self.cluster_issuer

    def path(self, kind: str, namespace: str | None = None, name: str = "") -> str:
        """Return the API path of one object of ``kind``, or of all without a name."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        # The plurals of all known issuer kinds are regular.
        return f"/apis/{self.api_version}{scope}/{kind.lower()}s" + (f"/{name}" if name else "")


CERT_MANAGER = IssuerApi(group=GROUP, version="v1", issuer="Issuer", cluster_issuer="ClusterIssuer")
"""Issuers that cert-manager itself signs for."""


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """What the settings know of a backend: who holds the issuing CA.

    Attributes:
        name: as ``issuing.backend`` and ``anchors.*.backend`` spell it.
        section: its section of the stack file; None where it needs none.
        key: the section's name below ``issuing``, in Python's spelling (``step_ca``).
        rules: on its section, and on what others say that it cannot do.
        authority: what holds the issuing CA, as messages call it.
        suffix: ends the names of its issuers and the subjects of its issuing CAs, so that a move
            from one backend to another is a new issuer; empty for none.
        keeps_key: the issuing CA's key is made by the authority and never leaves it.
        keeps_key_of: tells it of one generation, where that differs.
        decides_leaves: the authority signs by rules of its own, so a leaf may differ from what its
            request asked for.
        remedy_for_short_leaves: what to do where it cut the lifetime of a leaf.
        issuer_api: of its issuer objects.
        of_generations: fields of its section with an entry for each generation, which goes with the
            generation; in Python's spelling.
    """

    name: str
    section: type[Section] | None = None
    key: str | None = None
    rules: tuple[Rule, ...] = ()
    authority: str = "cert-manager"
    suffix: str = ""
    keeps_key: bool = False
    decides_leaves: bool = False
    remedy_for_short_leaves: str = "ask for less"
    issuer_api: IssuerApi = CERT_MANAGER
    of_generations: tuple[str, ...] = ()
    keeps_key_of: Callable[[Settings, str], bool] | None = None

    def holds_key(self, settings: Settings, generation: str) -> bool:
        """Whether the authority made the key of the issuing CA of a generation, and keeps it."""
        if self.keeps_key_of is not None:
            return self.keeps_key_of(settings, generation)
        return self.keeps_key

    @property
    def has_ca_secret(self) -> bool:
        """Whether cert-manager itself signs, with a CA Secret of this stack."""
        return self.issuer_api == CERT_MANAGER and not self.keeps_key

    def in_use(self, settings: Settings) -> bool:
        """Whether a stack uses it: its section is there, or an anchor names it."""
        if self.key is not None and settings.issuing.section(self.key) is not None:
            return True
        return any(settings.backend_of(each).name == self.name for each in settings.anchors)


@dataclass(frozen=True, kw_only=True)
class ConsumerSettings:
    """What the settings know of a consumer: who takes trust and leaves.

    Attributes:
        name: the section's name below ``consumers``, in Python's spelling.
        section: its section of the stack file.
        rules: on its section.
        clusters: where it is, of those of the stack; what it has there is recorded, so that it does
            not leave unseen. None where it has nothing to lose.
        namespaces: that must be there, by cluster.
        secrets: namespace and name of each Secret that it writes in a cluster.
    """

    name: str
    section: type[Section]
    rules: tuple[Rule, ...] = ()
    clusters: Callable[[Settings], tuple[str, ...]] | None = None
    namespaces: Callable[[Settings, str], tuple[str, ...]] | None = None
    secrets: Callable[[Settings, str], frozenset[tuple[str, str]]] | None = None


@dataclass(frozen=True, kw_only=True)
class Extensions:
    """All backends and consumers that a stack file may name; the first backend is the default."""

    backends: tuple[BackendSettings, ...]
    consumers: tuple[ConsumerSettings, ...] = ()

    def backend(self, name: str) -> BackendSettings:
        """Return the backend of this name; the model lets no other through."""
        return next(row for row in self.backends if row.name == name)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all of them."""
        tables = (
            *(row.rules for row in self.backends),
            *(row.rules for row in self.consumers),
        )
        return tuple(rule for rules in tables for rule in rules)

    @property
    def issuer_apis(self) -> tuple[IssuerApi, ...]:
        """The APIs that an issuer of any stack may belong to, each once."""
        return tuple(dict.fromkeys((CERT_MANAGER, *(row.issuer_api for row in self.backends))))
