"""Which issuer of cert-manager a Kubernetes CertificateSigningRequest is for."""

from __future__ import annotations

from typing import NamedTuple

GROUP = "cert-manager.io"
"""API group of cert-manager's own issuers."""

# cert-manager, pkg/apis/experimental/v1alpha1: ISSUERS.GROUP/NAMESPACE.NAME, or without NAMESPACE.
_KINDS = {f"issuers.{GROUP}": "Issuer", f"clusterissuers.{GROUP}": "ClusterIssuer"}


class NamedIssuer(NamedTuple):
    """An issuer; ``namespace`` is None for a ClusterIssuer."""

    kind: str
    namespace: str | None
    name: str


def issuer_of_signer(signer_name: str) -> NamedIssuer | None:
    """Return the issuer that a ``spec.signerName`` names; None for a signer of somebody else."""
    signer, _, name = signer_name.partition("/")
    kind = _KINDS.get(signer)
    if kind is None:
        return None
    if kind == "ClusterIssuer":
        return NamedIssuer(kind, None, name)
    namespace, _, own = name.partition(".")
    return NamedIssuer(kind, namespace or None, own)
