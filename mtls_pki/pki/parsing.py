"""PEM text to certificates, and certificates to plain facts."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import der_sha256, spki_sha256
from mtls_pki.pki.pem import blocks
from mtls_pki.pki.profile import authority_key_id, extension, is_ca, path_length_of, subject_key_id

# A number that is not positive is judged by `authorities`, in words of its own.
warnings.filterwarnings(
    "ignore", message="Parsed a serial number", category=CryptographyDeprecationWarning
)


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """What a certificate says, in plain values.

    Attributes:
        subject: RFC 4514 string, as is ``issuer``.
        serial: the serial number.
        not_before: aware UTC, as is ``not_after``.
        is_ca: basic constraints say CA:TRUE.
        path_length: how many CAs may follow below it; None is no limit (or no CA).
        subject_key_id: lowercase hex, or None, as is ``authority_key_id``.
        dns_names: subject alternative names of this kind, in their order, as are ``uris``.
        spki_sha256: identity of the key, lowercase hex.
        der_sha256: identity of this very certificate, lowercase hex.
    """

    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    is_ca: bool
    path_length: int | None
    subject_key_id: str | None
    authority_key_id: str | None
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    spki_sha256: str
    der_sha256: str


def parse_certificates(pem: str, *, origin: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates in ``pem``, at least one, in their order.

    Args:
        pem: ``CERTIFICATE`` blocks; text between them is ignored.
        origin: where the text comes from, to begin the error message with.

    Raises:
        PkiError: there is no block, one is damaged (``pem.blocks``), or one is anything but a
            certificate, such as a private key (its content is never repeated).
    """
    certificates: list[x509.Certificate] = []
    for block in blocks(pem, origin=origin):
        if block.label != "CERTIFICATE":
            raise PkiError(f"{origin}: block {block.number} {_foreign_block(block.label)}")
        certificate = _certificate(block.body)
        if isinstance(certificate, str):
            raise PkiError(f"{origin}: block {block.number} {certificate}")
        certificates.append(certificate)
    if not certificates:
        raise PkiError(f"{origin}: holds no PEM certificate; give at least one CERTIFICATE block")
    return tuple(certificates)


def certificates_pem(pem: str, *, origin: str) -> str:
    """Return the certificates in ``pem`` and nothing else, as every reader takes them.

    What was brought never goes on as it came, for readers differ in what they make of text around
    the blocks.

    Raises:
        PkiError: as `parse_certificates`.
    """
    return pem_of(parse_certificates(pem, origin=origin))


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    """Return the PEM of certificates, in their order."""
    return "".join(
        certificate.public_bytes(serialization.Encoding.PEM).decode()
        for certificate in certificates
    )


def parse_certificate(pem: str, *, origin: str) -> x509.Certificate:
    """Return the one certificate in ``pem``.

    Raises:
        PkiError: as `parse_certificates`, or there is more than one.
    """
    certificates = parse_certificates(pem, origin=origin)
    if len(certificates) > 1:
        raise PkiError(f"{origin}: holds {len(certificates)} certificates; give exactly one")
    return certificates[0]


def describe(certificate: x509.Certificate) -> CertificateFacts:
    """Return the facts that a certificate of `parse_certificates` states."""
    names = extension(certificate, x509.SubjectAlternativeName)
    subject_id, authority_id = subject_key_id(certificate), authority_key_id(certificate)
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=is_ca(certificate),
        path_length=path_length_of(certificate),
        subject_key_id=subject_id.hex() if subject_id is not None else None,
        authority_key_id=authority_id.hex() if authority_id is not None else None,
        dns_names=tuple(names.value.get_values_for_type(x509.DNSName)) if names else (),
        uris=tuple(
            names.value.get_values_for_type(x509.UniformResourceIdentifier) if names else ()
        ),
        spki_sha256=spki_sha256(certificate),
        der_sha256=der_sha256(certificate),
    )


def _foreign_block(label: str) -> str:
    if "PRIVATE KEY" in label:
        return "is a private key; remove it here and treat it as exposed, only certificates belong"
    if label in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
        return f"is a {label} block; convert it with: openssl x509 -in FILE -out FILE"
    return "is no CERTIFICATE block; remove it, only certificates belong here"


def _certificate(body: str) -> x509.Certificate | str:
    """Return the certificate in the base64 ``body``, or what is wrong with it."""
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        return "is not base64; the text is damaged, copy it again"
    return _load(der)


# Thousands of leaves come with the same issuing CA, which is decoded and kept only once.
@lru_cache(maxsize=256)
def _load(der: bytes) -> x509.Certificate | str:
    try:
        certificate = x509.load_der_x509_certificate(der)
        # cryptography decodes these when they are first read; reading them here makes errors appear
        # here and not later.
        _ = certificate.extensions, certificate.subject, certificate.issuer
        _ = certificate.public_key(), certificate.not_valid_before_utc
    except UnsupportedAlgorithm:
        return "has a public key of an unsupported kind; use EC, RSA or Ed25519"
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "is no valid X.509 certificate; the text is damaged, copy it again"
    return certificate
