"""Names and dates that follow from ``consumers.istio``."""

from __future__ import annotations

from datetime import datetime

from mtls_pki.consumers.istio.section import NAME, IstioSettings
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.names import certified_from, derived_common_name

SIGNER_DOMAIN = "clusterissuers.cert-manager.io"


def istio_settings(settings: Settings) -> IstioSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, IstioSettings) else None


def istio_clusters(settings: Settings) -> tuple[str, ...]:
    """Return the clusters whose istiod gets its CA from the stack."""
    istio = istio_settings(settings)
    if istio is None:
        return ()
    named = settings.clusters if istio.clusters is None else istio.clusters
    return tuple(cluster for cluster in settings.clusters if cluster in named)


def certifying_istio(settings: Settings) -> IstioSettings | None:
    """Return the section where istiod signs with a CA below the anchors, None elsewhere."""
    istio = istio_settings(settings)
    return istio if istio is not None and istio.signer == "istiod" else None


def signer_name(settings: Settings) -> str:
    """Return the signer of Kubernetes' signing requests that cert-manager signs for a mesh.

    It stays the same in a rotation: the stable issuer moves (cert-manager, "Kubernetes
    CertificateSigningRequests").
    """
    return f"{SIGNER_DOMAIN}/{settings.issuing.name}"


def authority_common_name(settings: Settings, istio: IstioSettings, cluster: str, of: str) -> str:
    """Return the subject's CN of the CA of a cluster below the anchor ``of``, one for each."""
    return derived_common_name(settings, f"istio-{cluster}-{of}-{istio.authority.generation}")


def authority_not_before(anchor: AnchorSettings, istio: IstioSettings) -> datetime:
    """Return when the CA below a generated anchor starts: as configured, never before its root."""
    return certified_from(anchor, istio.authority.valid_from)
