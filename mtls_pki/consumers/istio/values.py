"""Helm values of istiod that a rotation of its roots needs."""

from __future__ import annotations

from typing import Any

from mtls_pki.consumers.istio.names import SIGNER_DOMAIN
from mtls_pki.consumers.istio.objects import EXTERNAL_CA, LIFETIMES, MULTI_ROOT, PROXY_ROOTS, RA
from mtls_pki.consumers.istio.section import IstioSettings
from mtls_pki.rotation.durations import format_duration


def values(istio: IstioSettings, *, trust_domain: str, cluster: str) -> dict[str, Any]:
    """Return the values for the chart ``istiod`` in one cluster, which signs with its own CA.

    Its proxies read theirs when they start, so workloads that run must be restarted once.
    """
    found = _common(istio, trust_domain=trust_domain, cluster=cluster)
    found["pilot"]["env"][MULTI_ROOT] = "true"
    return found


def registration_values(
    istio: IstioSettings, *, trust_domain: str, cluster: str, signer: str, roots: object
) -> dict[str, Any]:
    """Return the values for an istiod that keeps no CA and asks cert-manager.

    Args:
        istio: the section.
        trust_domain: of the mesh.
        cluster: its name.
        signer: of Kubernetes' signing requests.
        roots: PEM of every trusted root, or what becomes it; istiod takes them from its mesh
            configuration.
    """
    found = _common(istio, trust_domain=trust_domain, cluster=cluster)
    found["global"] |= {"pilotCertProvider": f"k8s.io/{signer}", "certSigners": [signer]}
    found["pilot"]["env"] |= {
        EXTERNAL_CA: RA,
        "K8S_SIGNER": signer,
        "CERT_SIGNER_DOMAIN": SIGNER_DOMAIN,
    }
    # istiod looks for the roots of an empty name where a workload names no signer of its own
    # (istio, security/pkg/pki/ra/k8s_ra.go, SignWithCertChain).
    found["meshConfig"]["caCertificates"] = [
        {"pem": roots, "certSigners": [f"{SIGNER_DOMAIN}/", signer]}
    ]
    return found


def _common(istio: IstioSettings, *, trust_domain: str, cluster: str) -> dict[str, Any]:
    ttl = format_duration(istio.workload_cert_ttl)
    return {
        "global": {"multiCluster": {"clusterName": cluster}},
        "pilot": {"env": dict.fromkeys(LIFETIMES, ttl)},
        "meshConfig": {
            "trustDomain": trust_domain,
            "defaultConfig": {"proxyMetadata": {PROXY_ROOTS: "true"}},
        },
    }
