"""Private keys: which ones are accepted, how they are read, and what they sign with."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.key_algorithms import (
    MINIMUM_RSA_BITS,
    STRONG_KEYS,
    Digest,
    kind_of_curve,
)

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class SigningArguments(TypedDict):
    """Keyword arguments of ``CertificateBuilder.sign`` that make a signature deterministic."""

    algorithm: Digest | None
    ecdsa_deterministic: bool | None


def load_private_key(key_pem: str, *, origin: str) -> SigningKey:
    """Return the key in ``key_pem``: PKCS#8, SEC1 or PKCS#1 PEM, not encrypted.

    Args:
        key_pem: the key.
        origin: what the key is, to begin the error message with: ``the root's key``.

    Raises:
        PkiError: it is not such a key, or the key is too weak to sign with.
    """
    key = None
    reason = "is not a PEM private key; give PKCS#8, SEC1 or PKCS#1 PEM"
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except TypeError:
        reason = "is encrypted; give it without a passphrase, as a Pulumi secret"
    except UnsupportedAlgorithm:
        reason = f"is of an unsupported kind; use {STRONG_KEYS}"
    except ValueError:
        pass
    # Raised outside of the handler, so that no exception of cryptography becomes its __context__.
    if key is None:
        raise PkiError(f"{origin} {reason}")
    weakness = public_key_mistake(key.public_key())
    if weakness or not isinstance(key, SigningKey):
        raise PkiError(f"{origin} {weakness}")
    return key


def public_key_mistake(public_key: object) -> str | None:
    """Return why a CA must not have ``public_key``, as the end of a sentence, or None."""
    match public_key:
        case ec.EllipticCurvePublicKey():
            kind = kind_of_curve(public_key.curve)
            if kind is not None and kind.strong:
                return None
            return f"is EC {public_key.curve.name}; use {STRONG_KEYS}"
        case rsa.RSAPublicKey():
            if public_key.key_size >= MINIMUM_RSA_BITS:
                return None
            return f"is RSA of {public_key.key_size} bits; use {STRONG_KEYS}"
        case ed25519.Ed25519PublicKey():
            return None
    return f"is of an unsupported kind; use {STRONG_KEYS}"


def signing_arguments(key: SigningKey) -> SigningArguments:
    """Return what to sign with so that the same input gives the same bytes.

    ECDSA takes its nonce from key and message (RFC 6979); RSA PKCS#1 v1.5 and Ed25519 are
    deterministic by definition, and ``cryptography`` refuses the flag for them.
    """
    match key:
        case ec.EllipticCurvePrivateKey():
            kind = kind_of_curve(key.curve)
            return {"algorithm": kind.digest if kind else None, "ecdsa_deterministic": True}
        case rsa.RSAPrivateKey():
            return {"algorithm": hashes.SHA256(), "ecdsa_deterministic": None}
        case ed25519.Ed25519PrivateKey():
            return {"algorithm": None, "ecdsa_deterministic": None}


def belongs_to(key: SigningKey, certificate: x509.Certificate) -> bool:
    """Tell whether ``certificate`` certifies the public half of ``key``."""
    # The key of a certificate may be of a kind that cannot be loaded; then it is not this key.
    try:
        return key.public_key() == certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
