"""The key algorithms of this project, and how each reader of a key spells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, TypedDict

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

KeyAlgorithm = Literal["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519"]
"""What a stack file may ask for."""

DEFAULT_KEY: KeyAlgorithm = "P-256"

Digest: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


class TlsKey(TypedDict):
    """Arguments of ``pulumi_tls.PrivateKey``; what does not apply is None."""

    algorithm: str
    ecdsa_curve: str | None
    rsa_bits: int | None


@dataclass(frozen=True, kw_only=True)
class KeyKind:
    """An algorithm with its size.

    Attributes:
        name: as a stack file and the policy pack write it.
        family: the algorithm alone.
        bits: size of the curve or of the modulus; 0 for Ed25519, which has one size.
        curve: the curve's name in ``cryptography``; None where there is none.
        digest: what a CA of this kind signs with; None for Ed25519, which has its own. For EC it
            is as strong as the curve, as Go's x509.CreateCertificate chooses.
        strong: good enough for a CA.
    """

    name: str
    family: Literal["EC", "RSA", "Ed25519"]
    bits: int = 0
    curve: str | None = None
    digest: Digest | None = None
    strong: bool = True

    @property
    def key_encipherment(self) -> bool:
        """Whether a leaf's usages have it: RSA key transport needs it, EC must not (RFC 8813 3)."""
        return self.family == "RSA"

    def usages(self, extended: Sequence[str]) -> list[str]:
        """Return what a leaf's Certificate lists, given its extended key usages."""
        encipherment = ["key encipherment"] if self.key_encipherment else []
        return ["digital signature", *encipherment, *extended]

    @property
    def tls(self) -> TlsKey:
        """What the tls provider makes such a key of; its own default curve is P-224."""
        return {
            "algorithm": {"EC": "ECDSA", "Ed25519": "ED25519"}.get(self.family, self.family),
            "ecdsa_curve": f"P{self.bits}" if self.family == "EC" else None,
            "rsa_bits": self.bits if self.family == "RSA" else None,
        }

    @property
    def cert_manager(self) -> dict[str, str | int]:
        """``spec.privateKey`` of a cert-manager Certificate, without its rotation policy."""
        algorithm = "ECDSA" if self.family == "EC" else self.family
        return {"algorithm": algorithm, **({"size": self.bits} if self.bits else {})}

    @property
    def vault(self) -> tuple[str, int]:
        """``key_type`` and ``key_bits`` of Vault's PKI roles and keys."""
        return self.family.lower(), self.bits


_SHA256 = hashes.SHA256()
_ALL = (
    KeyKind(name="P-224", family="EC", bits=224, curve="secp224r1", digest=_SHA256, strong=False),
    KeyKind(name="P-256", family="EC", bits=256, curve="secp256r1", digest=_SHA256),
    KeyKind(name="P-384", family="EC", bits=384, curve="secp384r1", digest=hashes.SHA384()),
    KeyKind(name="P-521", family="EC", bits=521, curve="secp521r1", digest=hashes.SHA512()),
    KeyKind(name="RSA-2048", family="RSA", bits=2048, digest=_SHA256),
    KeyKind(name="RSA-3072", family="RSA", bits=3072, digest=_SHA256),
    KeyKind(name="RSA-4096", family="RSA", bits=4096, digest=_SHA256),
    KeyKind(name="Ed25519", family="Ed25519"),
)
KEY_KINDS: Mapping[str, KeyKind] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every kind by name: what a stack file may ask for, and what is met elsewhere."""

MINIMUM_RSA_BITS = min(kind.bits for kind in _ALL if kind.family == "RSA")
STRONG_KEYS = f"EC P-256, P-384 or P-521, RSA of {MINIMUM_RSA_BITS} bits or more, or Ed25519"
"""What a CA may have, for messages."""

_BY_CURVE = {kind.curve: kind for kind in _ALL if kind.curve is not None}


def kind_of_curve(curve: ec.EllipticCurve) -> KeyKind | None:
    """Return the kind of the keys on ``curve``, None for a curve that is not in the table."""
    return _BY_CURVE.get(curve.name)


def name_of_key(public_key: object) -> str:
    """Return the name of a public key's kind: ``P-256``, ``RSA-2056``, ``Ed25519``.

    A curve that is not in the table is named as ``cryptography`` names it, and any other kind of
    key by its class, so that a rule on names refuses it.
    """
    match public_key:
        case ec.EllipticCurvePublicKey():
            kind = kind_of_curve(public_key.curve)
            return kind.name if kind else public_key.curve.name
        case rsa.RSAPublicKey():
            return f"RSA-{public_key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
    return type(public_key).__name__
