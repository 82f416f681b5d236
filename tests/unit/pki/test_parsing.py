"""PEM text in, certificates and facts out; damage is named by place and never repeated."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import der_sha256, spki_sha256
from mtls_pki.pki.parsing import describe, parse_certificate, parse_certificates
from tests.unit.pki import material
from tests.unit.pki.material import ONE_DAY, TEN_YEARS, key_pem, parsed


def test_certificates_come_in_their_order_and_text_between_them_is_ignored() -> None:
    first, second = material.root("g1"), material.root("g2")
    certificates = parse_certificates(f"# g1\n{first}\nsubject=g2\n{second}end\n", origin="x")
    assert certificates == (parsed(first), parsed(second))


def test_windows_line_ends_and_missing_last_newline_are_fine() -> None:
    pem = material.root("g1")
    assert parsed(pem.replace("\n", "\r\n")) == parsed(pem.rstrip()) == parsed(pem)


def _cut() -> str:
    return material.root("g1") + material.root("g2")[:200]


BAD_TEXTS: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (lambda: "", "trust/g1.pem: holds no PEM certificate; give at least one"),
    "words": (lambda: "ca.crt", "trust/g1.pem: holds no PEM certificate"),
    "key": (
        lambda: material.root("g1") + key_pem("g1"),
        "trust/g1.pem: block 2 is a private key; remove it here and treat it as exposed",
    ),
    "other": (
        lambda: "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        "trust/g1.pem: block 1 is no CERTIFICATE block; remove it",
    ),
    "trusted": (
        lambda: material.root("g1").replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        "trust/g1.pem: block 1 is a TRUSTED CERTIFICATE block; convert it with: openssl x509",
    ),
    "cut": (_cut, "trust/g1.pem: block 2 has no END line; the text is cut off"),
    "base64": (
        lambda: material.root("g1").replace("MII", "M!I"),
        "trust/g1.pem: block 1 is not base64; the text is damaged",
    ),
    "der": (
        lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "trust/g1.pem: block 1 is no valid X.509 certificate",
    ),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_what_is_no_certificate_is_named_by_origin_and_block(name: str) -> None:
    make, message = BAD_TEXTS[name]
    text = make()
    with pytest.raises(PkiError) as caught:
        parse_certificates(text, origin="trust/g1.pem")
    assert str(caught.value).startswith(message)
    assert caught.value.__context__ is None
    assert not [line for line in text.splitlines() if len(line) > 30 and line in str(caught.value)]


def test_one_certificate_means_one() -> None:
    with pytest.raises(PkiError, match=r"^x: holds 2 certificates; give exactly one$"):
        parse_certificate(material.root("g1") + material.root("g2"), origin="x")


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with pytest.raises(PkiError, match=r"^x: "):
        parse_certificates(text, origin="x")


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 400))
def test_any_damage_is_parsed_or_refused(noise: bytes, start: int, length: int) -> None:
    good = material.root("g1")
    text = good[:start] + noise.decode("latin-1") + good[start + length :]
    try:
        certificates = parse_certificates(text, origin="x")
    except PkiError as error:
        assert str(error).startswith("x: ")  # noqa: PT017
    else:
        assert [describe(certificate) for certificate in certificates]


def test_facts_of_a_root() -> None:
    root = parsed(material.root("g1", path_length=3))
    facts = describe(root)
    assert facts.subject == facts.issuer == "CN=root-g1.example.org"
    assert facts.serial == root.serial_number
    assert (facts.not_before, facts.not_after) == (TEN_YEARS.not_before, TEN_YEARS.not_after)
    assert facts.is_ca
    assert facts.path_length == 3
    assert facts.authority_key_id is None
    assert facts.dns_names == facts.uris == ()
    assert facts.spki_sha256 == spki_sha256(root)
    assert facts.der_sha256 == der_sha256(root)


def test_facts_of_a_leaf() -> None:
    root = material.root("g1")
    facts = describe(parsed(material.leaf(root, material.key("g1"))))
    assert facts.subject == ""
    assert facts.issuer == "CN=root-g1.example.org"
    assert (facts.not_before, facts.not_after) == (ONE_DAY.not_before, ONE_DAY.not_after)
    assert not facts.is_ca
    assert facts.path_length is None
    assert facts.subject_key_id is None
    assert facts.authority_key_id == describe(parsed(root)).subject_key_id
    assert facts.dns_names == ("gateway.monoskope.svc.cluster.local",)
    assert facts.uris == ("spiffe://cluster.local/ns/monoskope/sa/gateway",)


def test_a_certificate_without_extensions_has_facts() -> None:
    bare = parsed(material.certificate(key=material.key("g1"), subject="x", extensions=()))
    facts = describe(bare)
    assert not facts.is_ca
    assert facts.subject_key_id is None


def test_the_fingerprint_is_that_of_the_key_and_openssl_agrees() -> None:
    root, renewed = material.root("g1"), material.root("g1", common_name="renewed")
    assert spki_sha256(parsed(root)) == spki_sha256(parsed(renewed))
    assert der_sha256(parsed(root)) != der_sha256(parsed(renewed))
    assert spki_sha256(parsed(root)) != spki_sha256(parsed(material.root("g2")))

    def openssl(*arguments: str, stdin: bytes) -> bytes:
        return subprocess.run(
            ["openssl", *arguments], input=stdin, capture_output=True, check=True
        ).stdout

    public = openssl("x509", "-noout", "-pubkey", stdin=root.encode())
    der = openssl("pkey", "-pubin", "-outform", "der", stdin=public)
    digest = openssl("dgst", "-sha256", "-r", stdin=der).split()[0].decode()
    assert digest == spki_sha256(parsed(root))


def test_a_critical_extension_nobody_knows_is_no_obstacle() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    pem = material.certificate(key=material.key("g1"), subject="x", extensions=[(unknown, True)])
    assert describe(parsed(pem)).subject == "CN=x"
