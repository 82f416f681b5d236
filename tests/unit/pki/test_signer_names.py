"""Which signers of Kubernetes' signing requests are issuers of cert-manager."""

from __future__ import annotations

import pytest

from mtls_pki.pki.signer_names import issuer_of_signer


@pytest.mark.parametrize(
    ("signer", "issuer"),
    [
        ("issuers.cert-manager.io/app.mesh-ca-g1", ("Issuer", "app", "mesh-ca-g1")),
        ("issuers.cert-manager.io/app.a.b", ("Issuer", "app", "a.b")),
        ("clusterissuers.cert-manager.io/mesh.ca", ("ClusterIssuer", None, "mesh.ca")),
        ("kubernetes.io/kube-apiserver-client", None),
        ("issuers.example.org/app.ca", None),
        ("", None),
    ],
)
def test_the_issuer_of_a_signer(signer: str, issuer: tuple[str, str | None, str] | None) -> None:
    assert issuer_of_signer(signer) == issuer
