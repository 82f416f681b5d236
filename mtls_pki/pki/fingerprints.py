"""The two identities of a certificate."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


def spki_sha256(certificate: x509.Certificate) -> str:
    """Return the lowercase hex SHA-256 of the DER SubjectPublicKeyInfo: an anchor's identity.

    It stays the same when an anchor is renewed (same key, new dates), and changes when the anchor
    is rotated, whatever its name is. A shell gives the same number: ``openssl x509 -in ca.crt
    -noout -pubkey | openssl pkey -pubin -outform der | sha256sum``.
    """
    return public_key_sha256(certificate.public_key())


def public_key_sha256(key: PublicKeyTypes) -> str:
    """Return the lowercase hex SHA-256 of the DER SubjectPublicKeyInfo of a public key."""
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def der_sha256(certificate: x509.Certificate) -> str:
    """Return the lowercase hex SHA-256 of the whole certificate's DER, as ``step certificate
    fingerprint`` prints it: for display and for the order of a bundle, never an anchor's identity.
    """
    return certificate.fingerprint(hashes.SHA256()).hex()
