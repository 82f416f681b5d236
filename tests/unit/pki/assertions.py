"""What a certificate means, asserted; in the manner of trustme's own tests."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID, NameOID


def assert_is_ca(certificate: x509.Certificate, *, path_length: int | None) -> None:
    """Critical CA:TRUE with this path length, critical keyCertSign and cRLSign, no purposes."""
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == path_length

    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    oids = {extension.oid for extension in certificate.extensions}
    assert ExtensionOID.EXTENDED_KEY_USAGE not in oids
    assert ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in oids


def assert_subject_key_id_is_sha1_of_key(certificate: x509.Certificate) -> None:
    """RFC 5280, 4.2.1.2, method (1), worked out by hand; not critical."""
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert not identifier.critical
    assert identifier.value.digest == hashlib.sha1(_key_bits(certificate)).digest()  # noqa: S324


def assert_is_root(certificate: x509.Certificate, *, path_length: int | None) -> None:
    """Self-signed, and exactly the three extensions of step's root-ca profile."""
    assert_is_ca(certificate, path_length=path_length)
    assert_subject_key_id_is_sha1_of_key(certificate)
    assert [extension.oid for extension in certificate.extensions] == [
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ]
    assert certificate.subject == certificate.issuer
    certificate.verify_directly_issued_by(certificate)


def assert_is_issuing_ca(
    certificate: x509.Certificate,
    *,
    root: x509.Certificate,
    path_length: int,
    permitted: tuple[str, ...] = (),
) -> None:
    """Signed by the root and naming its key id, with these permitted DNS domains (none: absent)."""
    assert_is_ca(certificate, path_length=path_length)
    assert_subject_key_id_is_sha1_of_key(certificate)
    certificate.verify_directly_issued_by(root)
    authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    root_key_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert not authority.critical
    assert authority.value.key_identifier == root_key_id
    assert authority.value.authority_cert_issuer is None
    assert authority.value.authority_cert_serial_number is None
    assert_permits(certificate, permitted)


def assert_permits(certificate: x509.Certificate, domains: tuple[str, ...]) -> None:
    """Critical name constraints that permit these DNS domains alone, or no constraints."""
    constraints = [
        extension
        for extension in certificate.extensions
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS
    ]
    if not domains:
        assert not constraints
        return
    (found,) = constraints
    assert found.critical
    assert found.value == x509.NameConstraints([x509.DNSName(name) for name in domains], None)


def assert_common_name_only(certificate: x509.Certificate, common_name: str) -> None:
    assert [(attribute.oid, attribute.value) for attribute in certificate.subject] == [
        (NameOID.COMMON_NAME, common_name)
    ]


def assert_serial_is_good(certificate: x509.Certificate) -> None:
    """Positive and at most 20 octets as a DER INTEGER, sign bit included (RFC 5280, 4.1.2.2)."""
    assert 0 < certificate.serial_number < 1 << 159


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the content of the subjectPublicKey BIT STRING, found by walking the DER."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _, body, _ = _element(spki)
    _, _, after_algorithm = _element(body)
    tag, bits, _ = _element(after_algorithm)
    assert tag == 0x03
    assert bits[0] == 0  # no unused bits
    return bits[1:]


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return tag, content and what follows of the first DER element."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    return der[0], der[start : start + length], der[start + length :]
