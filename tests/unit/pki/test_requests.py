"""Signing requests for an issuing CA whose root stays offline."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.profile import ca_key_usage
from mtls_pki.pki.requests import certificate_signing_request, parse_request
from tests.unit.pki import material
from tests.unit.pki.material import KEY_KINDS, key_pem


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_request_is_deterministic_and_proves_its_key(kind: str) -> None:
    first, second = (
        certificate_signing_request(key_pem=key_pem("i", kind), common_name="issuing-g1")
        for _ in range(2)
    )
    assert first == second
    request = parse_request(first, origin="issuing.csr")
    assert request.is_signature_valid
    assert request.public_key() == material.key("i", kind).public_key()


def test_a_request_asks_for_what_the_certificate_would_state() -> None:
    request = parse_request(
        certificate_signing_request(
            key_pem=key_pem("i"),
            common_name="issuing-g1",
            path_length=1,
            permitted_dns_domains=(".Svc.cluster.local",),
        ),
        origin="x",
    )
    assert [(name.oid, name.value) for name in request.subject] == [
        (NameOID.COMMON_NAME, "issuing-g1")
    ]
    assert [(extension.value, extension.critical) for extension in request.extensions] == [
        (x509.BasicConstraints(ca=True, path_length=1), True),
        (ca_key_usage(), True),
        (x509.NameConstraints([x509.DNSName("svc.cluster.local")], None), True),
    ]


def test_a_request_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(PkiError, match="path length -1 is negative"):
        certificate_signing_request(key_pem=key_pem("i"), common_name="i", path_length=-1)
    with pytest.raises(PkiError, match=r"^the issuing CA's key is not a PEM private key"):
        certificate_signing_request(key_pem="", common_name="i")


def test_what_is_no_good_request_is_refused() -> None:
    good = certificate_signing_request(key_pem=key_pem("i"), common_name="issuing-g1")
    request = parse_request(good, origin="x")
    # The last byte belongs to the signature.
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    weak = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(material.unchecked_key("weak", "p224"), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    for pem, message in (
        (key_pem("i"), "x: is no PEM CERTIFICATE REQUEST; give one"),
        (forged, "x: the signature does not verify; make the request again"),
        (weak, "x: its key is EC secp224r1; use EC P-256"),
    ):
        with pytest.raises(PkiError) as caught:
            parse_request(pem, origin="x")
        assert str(caught.value).startswith(message)
        assert caught.value.__context__ is None
