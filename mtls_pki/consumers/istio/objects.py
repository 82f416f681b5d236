"""The objects that istiod and this stack share, by name and key."""

from __future__ import annotations

SECRET = "cacerts"  # noqa: S105 its name, which istiod's chart mounts

CERTIFICATES = "cacerts-certificates"
"""Of the ConfigMap with the certificates of the Secret, for whoever may read no Secret."""

SIGNER_KEY, CHAIN_KEY = "ca-cert.pem", "cert-chain.pem"
"""In both: what istiod signs with, and that with its root."""
