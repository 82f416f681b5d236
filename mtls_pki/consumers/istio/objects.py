"""The objects that istiod and this stack share, by name and key."""

from __future__ import annotations

SECRET = "cacerts"  # noqa: S105 its name, which istiod's chart mounts

CERTIFICATES = "cacerts-certificates"
"""Of the ConfigMap with the certificates of the Secret, for whoever may read no Secret."""

SIGNER_KEY, CHAIN_KEY = "ca-cert.pem", "cert-chain.pem"
"""In both: what istiod signs with, and that with its root."""

MULTI_ROOT = "ISTIO_MULTIROOT_MESH"
"""Without it istiod ignores every change of its roots (istio, pilot/pkg/bootstrap/istio_ca.go)."""

EXTERNAL_CA, RA = "EXTERNAL_CA", "ISTIOD_RA_KUBERNETES_API"
"""An istiod that keeps no CA, and passes what workloads ask on to a signer of Kubernetes."""

LIFETIMES = ("DEFAULT_WORKLOAD_CERT_TTL", "MAX_WORKLOAD_CERT_TTL")
"""How long what istiod signs lives: where a workload does not ask, and at most."""

PROXY_ROOTS = "PROXY_CONFIG_XDS_AGENT"
"""Without it a running proxy learns no new root (istio, tests/integration/security/ca_custom_root).
"""
