"""Issuing CAs whose keys are made elsewhere: what is signed for a request, and what answers it."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mtls_pki.pki.certificates import certificate_for_request, issuing_certificate
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.requests import certificate_signing_request, check_answer
from tests.unit.pki import material
from tests.unit.pki.assertions import assert_is_issuing_ca
from tests.unit.pki.material import KEY_KINDS, ONE_YEAR, TEN_YEARS, key_pem, parsed

NAME = "issuing-g1-i1.example.org"


def request(name: str = "i1", kind: str = "p256", common_name: str = NAME) -> str:
    return certificate_signing_request(key_pem=key_pem(name, kind), common_name=common_name)


def answer(request_pem: str, *, domains: tuple[str, ...] = ()) -> str:
    return certificate_for_request(
        request_pem=request_pem,
        common_name=NAME,
        validity=ONE_YEAR,
        permitted_dns_domains=domains,
        root_pem=material.root("g1"),
        root_key_pem=key_pem("g1"),
    )


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_key_made_elsewhere_gets_the_same_certificate_as_one_made_here(kind: str) -> None:
    here = issuing_certificate(
        key_pem=key_pem("i1", kind),
        common_name=NAME,
        validity=ONE_YEAR,
        permitted_dns_domains=("svc.cluster.local",),
        root_pem=material.root("g1"),
        root_key_pem=key_pem("g1"),
    )
    assert answer(request(kind=kind), domains=("svc.cluster.local",)) == here
    root = parsed(material.root("g1"))
    assert_is_issuing_ca(parsed(answer(request(kind=kind))), root=root, path_length=0)


def test_nothing_but_the_key_is_taken_from_a_request() -> None:
    wishes = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root of all")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=9), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.org")]), critical=False)
        .sign(material.key("i1"), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    assert answer(wishes) == answer(request())


def test_what_is_no_request_or_would_not_verify_is_refused() -> None:
    with pytest.raises(PkiError, match="the issuing CA's request: is no PEM CERTIFICATE REQUEST"):
        answer(material.root("g1"))
    with pytest.raises(PkiError, match="the issuing CA has the root's key"):
        answer(request("g1"))
    with pytest.raises(PkiError, match="the root's key is not the one that its certificate"):
        certificate_for_request(
            request_pem=request(),
            common_name=NAME,
            validity=ONE_YEAR,
            root_pem=material.root("g1"),
            root_key_pem=key_pem("g2"),
        )
    with pytest.raises(PkiError, match="the issuing CA ends 2036"):
        certificate_for_request(
            request_pem=request(),
            common_name=NAME,
            validity=TEN_YEARS,
            root_pem=material.root("g1", validity=ONE_YEAR),
            root_key_pem=key_pem("g1"),
        )


def test_an_answer_is_taken_if_it_certifies_the_key_of_the_request() -> None:
    signed = answer(request())
    assert check_answer(signed, request_pem=request()) == signed
    # The signer chooses the name; the key decides.
    assert check_answer(signed, request_pem=request(common_name="other")) == signed


def test_an_answer_for_another_key_is_refused() -> None:
    with pytest.raises(PkiError) as caught:
        check_answer(answer(request("i2")), request_pem=request())
    assert f"(CN={NAME}) does not certify the key of this stack's signing request" in str(
        caught.value
    )
    assert "pulumi stack output certificateSigningRequests" in str(caught.value)
    with pytest.raises(PkiError, match="the signed issuing CA"):
        check_answer("", request_pem=request())
    with pytest.raises(PkiError, match="the issuing CA's signing request: is no PEM"):
        check_answer(answer(request()), request_pem="")
