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
from mtls_pki.pki.pem import Block, blocks

_PKCS8 = "PRIVATE KEY"
# `openssl ecparam -genkey` writes the first, and people join the second to a key.
_BESIDE_A_KEY = ("EC PARAMETERS", "CERTIFICATE")
_NO_KEY = "is not a PEM private key; give PKCS#8, SEC1 or PKCS#1 PEM"

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class SigningArguments(TypedDict):
    """Keyword arguments of ``CertificateBuilder.sign`` that make a signature deterministic."""

    algorithm: Digest | None
    ecdsa_deterministic: bool | None


def load_private_key(key_pem: str, *, origin: str) -> SigningKey:
    """Return the key in ``key_pem``: PKCS#8, SEC1 or PKCS#1 PEM, not encrypted.

    Args:
        key_pem: exactly one key; the parameters that OpenSSL writes before one, and certificates
            that belong to it, may stand beside it.
        origin: what the key is, to begin the error message with: ``the root's key``.

    Raises:
        PkiError: it is not such a key, or the key is too weak to sign with.
    """
    return _load(_key_block(key_pem, origin), origin)


def private_key_pem(key_pem: str, *, origin: str) -> str:
    """Return the key in ``key_pem`` and nothing else, in the form that it had.

    Go, and so cert-manager, takes the first block of a Secret's ``tls.key`` whatever it is.

    Raises:
        PkiError: as `load_private_key`.
    """
    block = _key_block(key_pem, origin)
    written = (
        serialization.PrivateFormat.PKCS8
        if block.label == _PKCS8
        else serialization.PrivateFormat.TraditionalOpenSSL
    )
    return (
        _load(block, origin)
        .private_bytes(serialization.Encoding.PEM, written, serialization.NoEncryption())
        .decode()
    )


def _key_block(key_pem: str, origin: str) -> Block:
    found = blocks(key_pem, origin=origin)
    for block in found:
        if not block.label.endswith("PRIVATE KEY") and block.label not in _BESIDE_A_KEY:
            raise PkiError(f"{origin}: block {block.number} is no private key; leave it out")
    keys = [block for block in found if block.label.endswith("PRIVATE KEY")]
    if not keys:
        raise PkiError(f"{origin} {_NO_KEY}")
    if len(keys) > 1:
        raise PkiError(f"{origin} has {len(keys)} private keys; give exactly one")
    return keys[0]


def _load(block: Block, origin: str) -> SigningKey:
    key = None
    reason = _NO_KEY
    try:
        key = serialization.load_pem_private_key(block.text.encode(), password=None)
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
