"""The issuers of one cluster: which belong to the stack, and whether they are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.recorded import condition
from mtls_pki.rotation.evidence import IssuerObservation
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import issuer_name, issuing_generations

API = "/apis/cert-manager.io/v1"
GROUP = "cert-manager.io"
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
    def of(cls, reference: Mapping[str, str], namespace: str | None) -> IssuerReference:
        """Return the issuer that an ``issuerRef`` of an object in ``namespace`` names.

        The scope of external kinds is not known; they are told apart by namespace, so that nothing
        learned of one namespace's issuer is held of another's.
        """
        group, kind = reference.get("group") or GROUP, reference.get("kind") or "Issuer"
        everywhere = group == GROUP and kind == "ClusterIssuer"
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
    return {
        IssuerReference(group=GROUP, kind=issuing.kind, namespace=namespace, name=name): generation
        for name, generation in names.items()
        for namespace in settings.issuer_namespaces
    }


def read_issuers(cluster: Cluster, settings: Settings) -> IssuerReading:
    """Return what the issuers of one cluster say of themselves.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    declared = stack_issuers(settings)
    found = [
        *cluster.list_all(f"{API}/clusterissuers", lambda live: _issuer(live, "ClusterIssuer")),
        *cluster.list_all(f"{API}/issuers", lambda live: _issuer(live, "Issuer")),
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


def _issuer(live: Mapping[str, Any], kind: str) -> _Issuer:
    metadata = live["metadata"]
    ready = condition(live, "Ready") or _NOT_OBSERVED
    return _Issuer(
        reference=IssuerReference(
            group=GROUP, kind=kind, namespace=metadata.get("namespace"), name=metadata["name"]
        ),
        self_signing="selfSigned" in live.get("spec", {}),
        ready=ready.get("status") == "True",
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
    )
