"""The issuers of one cluster: which belong to the stack, and whether they are ready."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.recorded import condition, owned_since
from mtls_pki.pki.signer_names import GROUP
from mtls_pki.rotation.evidence import IssuerObservation
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.settings.extensions import CERT_MANAGER, IssuerApi
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import ca_secrets, issuer_name, issuing_generations

API = f"/apis/{CERT_MANAGER.api_version}"
_NOT_OBSERVED = {
    "status": "Unknown",
    "reason": "NotObserved",
    "message": "cert-manager has not looked at it yet",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerReference:
    """Identity of an issuer; ``namespace`` is None for a ClusterIssuer."""

    group: str
    kind: str
    namespace: str | None
    name: str

    @classmethod
    def of(
        cls,
        reference: Mapping[str, str],
        namespace: str | None,
        apis: Collection[IssuerApi] = (CERT_MANAGER,),
    ) -> IssuerReference:
        """Return the issuer that an ``issuerRef`` of an object in ``namespace`` names.

        The scope of a kind that is in none of ``apis`` is not known; such issuers are told apart by
        namespace, so that nothing learned of one namespace's issuer is held of another's.
        """
        group, kind = reference.get("group") or GROUP, reference.get("kind") or "Issuer"
        everywhere = any(api.group == group and api.cluster_issuer == kind for api in apis)
        return cls(
            group=group,
            kind=kind,
            namespace=None if everywhere else namespace,
            name=reference.get("name", ""),
        )

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Authority(NamedTuple):
    """A CA that issuers sign with: namespace and name of a Secret, server and path of a mount."""

    kind: Literal["Secret", "Vault"]
    place: str
    name: str


@dataclass(frozen=True, kw_only=True)
class IssuerReading:
    """The issuers of one cluster.

    Attributes:
        observations: readiness of those of the stack that exist.
        self_signing: identities of all SelfSigned issuers: what they sign chains to itself only.
        authorities: which CA each issuer signs with, where its ``spec`` says so.
        changed_at: when the server recorded the last change of each one's ``spec``.
        owned: whose those of the stack are that exist, and whose the CA Secrets are of which
            another issuer is made. No Secret is read for it.
    """

    observations: tuple[IssuerObservation, ...]
    self_signing: frozenset[IssuerReference]
    authorities: Mapping[IssuerReference, Authority]
    changed_at: Mapping[IssuerReference, datetime | None]
    owned: tuple[OwnedObject, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Issuer:
    reference: IssuerReference
    self_signing: bool
    authority: Authority | None
    changed_at: datetime | None
    ready: bool
    reason: str
    message: str
    owned: OwnedObject


def stack_issuers(settings: Settings) -> dict[IssuerReference, str]:
    """Return the issuers that the stack declares, with the generation that each issues from."""
    issuing = settings.issuing
    names = {issuer_name(settings, each): each for each in issuing_generations(settings)}
    if issuing.stable:
        names[issuing.name] = settings.issuing_generation
    found = {}
    for name, generation in names.items():
        api = settings.backend_of(generation).issuer_api
        for namespace in settings.issuer_namespaces:
            reference = IssuerReference(
                group=api.group, kind=api.kind(issuing.kind), namespace=namespace, name=name
            )
            found[reference] = generation
    return found


def read_issuers(cluster: Cluster, settings: Settings) -> IssuerReading:
    """Return what the issuers of one cluster say of themselves.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    declared = stack_issuers(settings)
    used = (settings.backend_of(generation).issuer_api for generation in declared.values())
    found = [
        issuer
        for api in dict.fromkeys((CERT_MANAGER, *used))
        for kind in (api.cluster_issuer, api.issuer)
        for issuer in cluster.list_all(
            api.path(kind), partial(_issuer, cluster.name, settings, api, kind)
        )
    ]
    return IssuerReading(
        observations=tuple(
            IssuerObservation(
                cluster=cluster.name,
                namespace=issuer.reference.namespace,
                name=issuer.reference.name,
                kind=issuer.reference.kind,
                ready=issuer.ready,
                reason=issuer.reason,
                message=issuer.message,
                generation=declared[issuer.reference],
                changed_at=issuer.changed_at,
            )
            for issuer in found
            if issuer.reference in declared
        ),
        self_signing=frozenset(issuer.reference for issuer in found if issuer.self_signing),
        authorities={each.reference: each.authority for each in found if each.authority},
        changed_at={each.reference: each.changed_at for each in found},
        owned=tuple(_owned(settings, declared, found)),
    )


def _owned(
    settings: Settings, declared: Collection[IssuerReference], found: Iterable[_Issuer]
) -> Iterator[OwnedObject]:
    secrets = {Authority("Secret", *secret) for secret in ca_secrets(settings)}
    claim = settings.claim
    for issuer in found:
        if issuer.reference in declared:
            yield issuer.owned
            continue
        if (left := claim.left(issuer.owned)) is not None:
            yield left
        # Anybody may point an issuer at a CA Secret; only a stack of this program wrote one for it.
        theirs = issuer.owned.owner is not None or issuer.owned.by_program
        signs_with = issuer.authority
        if theirs and signs_with is not None and signs_with in secrets:
            yield replace(
                issuer.owned,
                namespace=signs_with.place,
                kind=signs_with.kind,
                name=signs_with.name,
                through=issuer.owned.entry,
            )


def _issuer(
    cluster: str, settings: Settings, api: IssuerApi, kind: str, live: Mapping[str, Any]
) -> _Issuer:
    metadata, spec = live["metadata"], live.get("spec", {})
    ready = condition(live, "Ready") or _NOT_OBSERVED
    return _Issuer(
        reference=IssuerReference(
            group=api.group, kind=kind, namespace=metadata.get("namespace"), name=metadata["name"]
        ),
        self_signing="selfSigned" in spec,
        authority=_authority(
            spec, metadata.get("namespace") or settings.issuing.cluster_resource_namespace
        ),
        changed_at=owned_since(metadata, "f:spec"),
        ready=ready.get("status") == "True",
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        owned=owned_object(cluster, kind, metadata),
    )


def _authority(spec: Mapping[str, Any], namespace: str) -> Authority | None:
    if secret := spec.get("ca", {}).get("secretName"):
        return Authority("Secret", namespace, secret)
    if vault := spec.get("vault"):
        # The path ends in the role, of which one mount has many.
        mount = vault.get("path", "").partition("/sign")[0]
        return Authority("Vault", f"{vault.get('server')} {vault.get('namespace', '')}", mount)
    return None
