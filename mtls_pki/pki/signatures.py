"""Who signed what: the signature, the key ids and the names, each on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from mtls_pki.pki.profile import extension, subject_key_id


@dataclass(frozen=True, kw_only=True)
class SignerCheck:
    """Whether one certificate signed another, in the three ways that can disagree.

    The three answers are those of Vault's ``pki verify-sign``. One alone can be wrong: the name for
    a new root of the same name, the key id for a copy of it, and the signature for a CA that was
    made again from the same key under another name.

    Attributes:
        signature: the issuer's key verifies the child's signature.
        key_id: the child's authority key id does not contradict the issuer: the key ids are equal,
            or one of them is not stated. If it states a serial number, that is the issuer's.
        name: the child's issuer is the issuer's subject.
    """

    signature: bool
    key_id: bool
    name: bool


def check_signature(child: x509.Certificate, issuer: x509.Certificate) -> SignerCheck:
    """Return what speaks for and against ``issuer`` having signed ``child``, whatever the dates."""
    return SignerCheck(**{name: holds(child, issuer) for name, holds in _CONDITIONS.items()})


def is_signed_by(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether ``issuer`` signed ``child``: all that `check_signature` asks holds."""
    return all(holds(child, issuer) for holds in _CONDITIONS.values())


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate signed itself: a root, whatever else it says."""
    return is_signed_by(certificate, certificate)


def signer_among(
    child: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """Return the first candidate whose key verifies the child's signature, whatever it is named.

    Only candidates whose name or key id the child states are tried: verifiers try no others, and
    a signature costs a hundred times as much to check.
    """
    named = extension(child, x509.AuthorityKeyIdentifier)
    key_id = named.value.key_identifier if named else None
    for candidate in candidates:
        same_key_id = key_id is not None and key_id == subject_key_id(candidate)
        if (same_key_id or _name_fits(child, candidate)) and _signature_verifies(child, candidate):
            return candidate
    return None


def _name_fits(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    return child.issuer == issuer.subject


def _key_id_fits(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    # A key id that is absent contradicts nothing, as in OpenSSL's X509_check_akid. Otherwise a leaf
    # without key ids would have no signer, and its anchor could be removed.
    stated = extension(child, x509.AuthorityKeyIdentifier)
    if stated is None:
        return True
    key_id, issuer_key_id = stated.value.key_identifier, subject_key_id(issuer)
    if key_id is not None and issuer_key_id is not None and key_id != issuer_key_id:
        return False
    return stated.value.authority_cert_serial_number in (None, issuer.serial_number)


# Each leaf is checked once; the few links between CAs are checked again with each leaf, so the
# cache keeps those.
@lru_cache(maxsize=1024)
def _signature_verifies(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    signature, signed = child.signature, child.tbs_certificate_bytes
    try:
        key = issuer.public_key()
        scheme = child.signature_algorithm_parameters
        match key, scheme:
            case ec.EllipticCurvePublicKey(), ec.ECDSA():
                key.verify(signature, signed, scheme)
            case rsa.RSAPublicKey(), (padding.PKCS1v15() | padding.PSS()) if (
                child.signature_hash_algorithm is not None
            ):
                key.verify(signature, signed, scheme, child.signature_hash_algorithm)
            case ((ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()), None):
                key.verify(signature, signed)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


# By field of SignerCheck. The costly one comes last, and is asked only if the others hold.
_CONDITIONS: Mapping[str, Callable[[x509.Certificate, x509.Certificate], bool]] = {
    "name": _name_fits,
    "key_id": _key_id_fits,
    "signature": _signature_verifies,
}
