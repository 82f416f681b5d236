"""JSON Web Keys as a step-ca provisioner has them: a public key, its name, and the key encrypted.

Everything is a pure function of the key, so that a run which changes nothing writes the same bytes.
A library would encrypt differently each time; hence the few lines of RFC 7516 here. Tests decrypt
their result with an independent implementation.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mtls_pki.pki.errors import PkiError

# With a random password of 256 bits the count adds nothing; Go's client reads any, and other
# libraries refuse 300,000 and more.
_PBKDF2_ITERATIONS = 100_000
_COORDINATE_BYTES = 32
_PASSWORD_BYTES = 32
_SALT_BYTES, _CONTENT_KEY_BYTES, _NONCE_BYTES, _WRAPPING_KEY_BYTES = 16, 32, 12, 16
_ALGORITHM, _ENCRYPTION = "PBES2-HS256+A128KW", "A256GCM"


@dataclass(frozen=True, kw_only=True)
class ProvisionerKey:
    """A key that signs tokens for a certificate authority.

    Attributes:
        public: the JWK without its private part, and with ``kid``, ``alg`` and ``use``.
        kid: its thumbprint (RFC 7638), by which a client names it.
        encrypted: the private JWK as a compact JWE. The authority shows it to everybody; who has
            the password can use it.
        password: random, 256 bits, base64url; **secret**.
    """

    public: dict[str, str]
    kid: str
    encrypted: str
    password: str

    def __repr__(self) -> str:
        """Leave the password out: a representation gets into tracebacks and logs."""
        return f"ProvisionerKey({self.kid})"


def provisioner_key(key_pem: str) -> ProvisionerKey:
    """Return the provisioner that a private key makes; the same key makes the same bytes.

    Args:
        key_pem: a P-256 key, PEM.

    Raises:
        PkiError: it is no P-256 key.
    """
    try:
        key = load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError):
        raise PkiError("the key of the provisioner is no private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PkiError("the key of the provisioner is no EC key on the curve P-256")
    point = key.public_key().public_numbers()
    required = {"crv": "P-256", "kty": "EC", "x": _number(point.x), "y": _number(point.y)}
    kid = thumbprint(required)
    public = {**required, "kid": kid, "alg": "ES256", "use": "sig"}
    private = _number(key.private_numbers().private_value)
    password = _text(_derived(private, "password", _PASSWORD_BYTES))
    return ProvisionerKey(
        public=public,
        kid=kid,
        encrypted=_encrypted(_json({**public, "d": private}), password, private),
        password=password,
    )


def thumbprint(required: dict[str, str]) -> str:
    """Return the thumbprint of a JWK (RFC 7638, section 3), base64url.

    Args:
        required: the members that its key type requires, and no other.
    """
    return _text(hashlib.sha256(_json(dict(sorted(required.items())))).digest())


def _encrypted(content: bytes, password: str, private: str) -> str:
    """Return a compact JWE (RFC 7516, section 7.1; RFC 7518, section 4.8).

    Salt, content key and nonce follow from the key and from what is encrypted, so no nonce is ever
    used for two contents under one content key.
    """
    context = hashlib.sha256(content + password.encode()).hexdigest()
    salt = _derived(private, f"salt {context}", _SALT_BYTES)
    header = _text(
        _json(
            {
                "alg": _ALGORITHM,
                "cty": "jwk+json",
                "enc": _ENCRYPTION,
                "p2c": _PBKDF2_ITERATIONS,
                "p2s": _text(salt),
            }
        )
    )
    wrapping_key = PBKDF2HMAC(
        algorithm=hashes.SHA256(),
        length=_WRAPPING_KEY_BYTES,
        salt=_ALGORITHM.encode() + b"\0" + salt,
        iterations=_PBKDF2_ITERATIONS,
    ).derive(password.encode())
    content_key = _derived(private, f"content key {context}", _CONTENT_KEY_BYTES)
    nonce = _derived(private, f"nonce {context}", _NONCE_BYTES)
    sealed = AESGCM(content_key).encrypt(nonce, content, header.encode())
    tag_bytes = 16
    parts = (
        aes_key_wrap(wrapping_key, content_key),
        nonce,
        sealed[:-tag_bytes],
        sealed[-tag_bytes:],
    )
    return ".".join((header, *map(_text, parts)))


def _derived(private: str, purpose: str, length: int) -> bytes:
    """Return bytes for one purpose, from which nobody gets to the key (RFC 5869)."""
    info = f"mtls-pki provisioner: {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(
        private.encode()
    )


def _number(value: int) -> str:
    return _text(value.to_bytes(_COORDINATE_BYTES, "big"))


def _json(value: dict[str, object] | dict[str, str]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
