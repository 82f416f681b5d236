"""The issuers of one cluster: which belong to the stack, and whether they are ready."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.recorded import condition
from mtls_pki.pki.signer_names import GROUP
from mtls_pki.rotation.evidence import IssuerObservation
from mtls_pki.settings.extensions import CERT_MANAGER, IssuerApi
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import issuer_name, issuing_generations

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


@dataclass(frozen=True, kw_only=True)
class IssuerReading:
    """The issuers of one cluster.

    Attributes:
        observations: readiness of those of the stack that exist.
        of_stack: identities of all issuers of the stack, whether they exist or not.
        self_signing: identities of all SelfSigned issuers: what they sign chains to itself only.
    """

    observations: tuple[IssuerObservation, ...]
    of_stack: frozenset[IssuerReference]
    self_signing: frozenset[IssuerReference]


@dataclass(frozen=True, kw_only=True)
class _Issuer:
    reference: IssuerReference
    self_signing: bool
    ready: bool
    reason: str
    message: str


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
        for issuer in cluster.list_all(api.path(kind), partial(_issuer, api, kind))
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
            )
            for issuer in found
            if issuer.reference in declared
        ),
        of_stack=frozenset(declared),
        self_signing=frozenset(issuer.reference for issuer in found if issuer.self_signing),
    )


def _issuer(api: IssuerApi, kind: str, live: Mapping[str, Any]) -> _Issuer:
    metadata = live["metadata"]
    ready = condition(live, "Ready") or _NOT_OBSERVED
    return _Issuer(
        reference=IssuerReference(
            group=api.group, kind=kind, namespace=metadata.get("namespace"), name=metadata["name"]
        ),
        self_signing="selfSigned" in live.get("spec", {}),
        ready=ready.get("status") == "True",
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
    )
