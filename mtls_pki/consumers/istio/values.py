"""Helm values of istiod that a rotation of its roots needs."""

from __future__ import annotations

from typing import Any

from mtls_pki.consumers.istio.section import IstioSettings
from mtls_pki.rotation.durations import format_duration

MULTI_ROOT = "ISTIO_MULTIROOT_MESH"
"""Without it istiod ignores every change of its roots (istio, pilot/pkg/bootstrap/istio_ca.go)."""

LIFETIMES = ("DEFAULT_WORKLOAD_CERT_TTL", "MAX_WORKLOAD_CERT_TTL")
"""How long what istiod signs lives: where a workload does not ask, and at most."""

PROXY_ROOTS = "PROXY_CONFIG_XDS_AGENT"
"""Without it a running proxy learns no new root (istio, tests/integration/security/ca_custom_root).
"""


def values(istio: IstioSettings, *, trust_domain: str, cluster: str) -> dict[str, Any]:
    """Return the values for the chart ``istiod`` in one cluster.

    Its proxies read theirs when they start, so workloads that run must be restarted once.
    """
    ttl = format_duration(istio.workload_cert_ttl)
    return {
        "global": {"multiCluster": {"clusterName": cluster}},
        "pilot": {"env": {MULTI_ROOT: "true", **dict.fromkeys(LIFETIMES, ttl)}},
        "meshConfig": {
            "trustDomain": trust_domain,
            "defaultConfig": {"proxyMetadata": {PROXY_ROOTS: "true"}},
        },
    }
