"""Leaves of a Vault's issuers that are not what their requests asked for are named."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from clusters.as_asked import leaves_unlike_asked
from tests.unit.evidence.conftest import Stack
from tests.unit.pki import material

_REQUESTS = "/apis/cert-manager.io/v1/certificaterequests"
_VAULT = {
    "issuing__backend": "vault",
    "issuing__vault": {"server": "https://vault.example.org:8200"},
}


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def _request(*dns_names: str, issuer: str = "mtls-ca-g1-i1-vault", **spec: Any) -> dict[str, Any]:
    names = [x509.DNSName(name) for name in dns_names]
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(material.key("leaf"), hashes.SHA256())
    )
    leaf = material.leaf(
        material.root("g1"),
        material.key("g1"),
        dns="web.app",
        purposes=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,),
    )
    return {
        "metadata": {"namespace": "app", "name": "web-1"},
        "spec": {
            "issuerRef": {"kind": "ClusterIssuer", "name": issuer},
            "request": _encoded(asked.public_bytes(serialization.Encoding.PEM).decode()),
            **spec,
        },
        "status": {"certificate": _encoded(leaf)},
    }


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (_request("web.app"), []),
        (_request("web.app", duration="24h", usages=["server auth"]), []),
        (_request("web.app", usages=["client auth"]), ["asked for client auth, and got"]),
        (_request("web.app", "db.app"), ["asked for db.app, and got a leaf without"]),
        (_request("web.app", duration="876000h"), ["asked for 876000h0m0s, and got"]),
        (_request("other.app", issuer="somebody"), []),
    ],
)
def test_what_differs_is_named(stack: Stack, request_: dict[str, Any], said: list[str]) -> None:
    stack.dev.objects[_REQUESTS] = [request_]
    stack.prod.objects[_REQUESTS] = []
    lines = leaves_unlike_asked(stack.settings(**_VAULT))
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert line.startswith("cluster dev: CertificateRequest app/web-1: ")
        assert words in line


def test_an_issuer_of_a_ca_secret_is_not_asked(stack: Stack) -> None:
    assert leaves_unlike_asked(stack.settings()) == ()
    assert stack.dev.asked == []
