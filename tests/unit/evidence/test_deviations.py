"""Leaves of a Vault's issuers that are not what their requests asked for are named."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mtls_pki.clusters.deviations import leaves_unlike_asked
from mtls_pki.pki.certificates import Validity
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import CERTIFICATES, NOW, REQUESTS, certificate, issuing, request
from tests.unit.pki import material
from tests.unit.pki.material import key

_VAULT = {
    "issuing__backend": "vault",
    "issuing__vault": {"server": "https://vault.example.org:8200"},
}
_ISSUER = {"kind": "ClusterIssuer", "name": "mtls-ca-g1-i1-vault"}
_IDENTITY = "spiffe://cluster.local/ns/monoskope/sa/gateway"


def _request(
    *dns_names: str,
    validity: Validity = material.ONE_DAY,
    uri: str = _IDENTITY,
    issued: str | None = None,
    revision: int = 1,
    issuer: Mapping[str, str] = _ISSUER,
    **spec: Any,
) -> dict[str, Any]:
    """A request for these names and the identity, and the leaf for ``web.app`` that it got."""
    names = [*map(x509.DNSName, dns_names), x509.UniformResourceIdentifier(uri)]
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key("leaf"), hashes.SHA256())
    )
    leaf = issued or material.leaf(
        issuing("g1"),
        key("issuing-g1"),
        dns="web.app",
        validity=validity,
        purposes=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,),
    )
    live = request(leaf + issuing("g1"), name=f"web-{revision}", revision=revision, issuer=issuer)
    pem = asked.public_bytes(serialization.Encoding.PEM)
    live["spec"] |= {"request": base64.b64encode(pem).decode(), **spec}
    return live


def _lines(stack: Stack, *requests: dict[str, Any], **changes: Any) -> tuple[str, ...]:
    newest = max(
        int(each["metadata"]["annotations"]["cert-manager.io/certificate-revision"])
        for each in requests
    )
    stack.dev.objects[CERTIFICATES] = [certificate(revision=newest)]
    stack.dev.objects[REQUESTS] = list(requests)
    return leaves_unlike_asked(stack.read(**(changes or _VAULT)))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (_request("web.app"), []),
        (_request("web.app", duration="24h", usages=["server auth"]), []),
        (_request("web.app", usages=["client auth"]), ["asked for client auth, and got"]),
        (_request("web.app", "db.app"), ["asked for db.app, and got a leaf without"]),
        (_request(), ["did not ask for web.app, and got a leaf with it; the server ignores"]),
        (
            _request("web.app", uri="spiffe://cluster.local/ns/monoskope/sa/db"),
            ["asked for spiffe://", "did not ask for spiffe://"],
        ),
        (
            _request("web.app", duration="876000h"),
            ["asked for 876000h0m0s, and got 24h0m0s; raise"],
        ),
        (_request("web.app", duration="1h"), ["asked for 1h0m0s, and got 24h0m0s; the server"]),
        (
            _request("web.app", request=base64.b64encode(b"none").decode()),
            ["cannot be compared with what was asked for (request: is no PEM"],
        ),
        (_request("other.app", issuer={"kind": "Issuer", "name": "somebody"}), []),
    ],
)
def test_what_differs_is_named(stack: Stack, request_: dict[str, Any], said: list[str]) -> None:
    lines = _lines(stack, request_)
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert line.startswith("cluster dev: Certificate app/web: ")
        assert words in line


def test_a_ca_that_nobody_asked_for_is_named(stack: Stack) -> None:
    below = material.issuing("sub", root_pem=material.root("g1"), root_key=material.key_pem("g1"))
    lines = _lines(stack, _request("web.app", issued=below))
    assert any("asked for a leaf, and got a CA" in line for line in lines)
    asked = _lines(stack, _request("web.app", issued=below, isCA=True))
    assert not any("got a CA" in line for line in asked)


def test_what_is_not_used_any_more_is_not_named(stack: Stack) -> None:
    """cert-manager keeps old requests."""
    asked_in_vain = _request("web.app", "db.app", revision=1)
    assert _lines(stack, asked_in_vain, _request("web.app", revision=2)) == ()
    ended = Validity(NOW - timedelta(hours=25), NOW - timedelta(hours=1))
    assert _lines(stack, _request("web.app", "db.app", validity=ended)) == ()
    assert len(_lines(stack, asked_in_vain)) == 1


def test_an_issuer_of_a_ca_secret_is_not_compared(stack: Stack) -> None:
    asked = _request("web.app", "db.app", issuer={"kind": "ClusterIssuer", "name": "mtls-ca-g1-i1"})
    assert _lines(stack, asked, issuing__backend="ca") == ()
