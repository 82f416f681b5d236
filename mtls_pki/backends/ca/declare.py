"""Issuers that sign with a CA Secret."""

from __future__ import annotations

from mtls_pki.backends.declare import Declare, IssuerPlace
from mtls_pki.components.ca_issuer import CaIssuer, CaIssuerArgs
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.settings.model import Settings


class CaDeclare(Declare):
    """There is no authority besides cert-manager; the anchor itself makes the issuing CA."""

    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        """Declare one issuer with its CA Secret."""
        return CaIssuer(
            place.resource_name, ca_issuer_args(self.settings, anchor, place), place.options
        )


def ca_issuer_args(settings: Settings, anchor: TrustAnchor, place: IssuerPlace) -> CaIssuerArgs:
    """Return the arguments of one issuer.

    Raises:
        ValueError: the anchor cannot issue here; the settings' rules exclude it.
    """
    if anchor.signing is None:
        raise ValueError(f"{place.name}: its anchor has no issuing CA here")
    namespace = place.namespace or settings.issuing.cluster_resource_namespace
    return CaIssuerArgs(
        kind=settings.issuing.kind,
        issuer_name=place.name,
        secret_name=place.secret_name,
        namespace=namespace,
        signing=anchor.signing,
        ready_timeout=settings.issuing.ready_timeout,
        on_failure=place.on_failure,
        guard=place.guard,
        delete_guard=place.delete_guard,
        secret_resource=f"{place.cluster}/{namespace}/{place.secret_name}",
    )
