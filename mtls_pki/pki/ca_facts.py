"""What a verifier judges of a CA certificate, in plain values that can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.name_constraints import NO_NAMES, GeneralNames, NameConstraints
from mtls_pki.pki.profile import extension, path_length_of, subject_key_id
from mtls_pki.pki.signatures import signer_among

_MUTUAL_TLS = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
# What every verifier knows in a CA certificate.
_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
}

# Of the critical extensions beside those, what OpenSSL, Go and GnuTLS know (tests/chains).
KNOWN_TO_MOST = {
    oid.dotted_string
    for oid in (
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    )
}


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A name as verifiers compare it (DER) and as people read it (RFC 4514)."""

    der: bytes
    text: str = field(compare=False)

    @classmethod
    def of(cls, name: x509.Name) -> DistinguishedName:
        """Return the name, the same object for the same name."""
        return _distinguished_name(name.public_bytes(), name.rfc4514_string())


@lru_cache(maxsize=1024)
def _distinguished_name(der: bytes, text: str) -> DistinguishedName:
    return DistinguishedName(der, text)


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """The authority key id: what a certificate says of its signer; None is not stated.

    Attributes:
        key_id: the signer's subject key id, lowercase hex.
        issuer: who issued the signer's certificate, and ``serial`` its serial number.
    """

    key_id: str | None = None
    issuer: DistinguishedName | None = None
    serial: int | None = None

    @classmethod
    def of(cls, certificate: x509.Certificate) -> AuthorityKey:
        """Return what the certificate states."""
        stated = extension(certificate, x509.AuthorityKeyIdentifier)
        if stated is None:
            return cls()
        key_id = stated.value.key_identifier
        names = [
            name.value
            for name in stated.value.authority_cert_issuer or ()
            if isinstance(name, x509.DirectoryName)
        ]
        return cls(
            key_id=key_id.hex() if key_id is not None else None,
            issuer=DistinguishedName.of(names[0]) if names else None,
            serial=stated.value.authority_cert_serial_number,
        )

    def fits(self, signer: CaFacts) -> bool:
        """Whether it does not contradict ``signer``; what one of them does not state fits."""
        return (
            (self.key_id is None or signer.subject_key_id in (None, self.key_id))
            and (self.issuer is None or self.issuer == signer.issuer)
            and (self.serial is None or self.serial == signer.serial)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaFacts:
    """One CA certificate, root or not.

    Attributes:
        subject: its name.
        issuer: the name of its signer; its own for a root.
        spki: identity of its key, as `pki.fingerprints.spki_sha256`.
        signer: identity of the key whose signature it bears; None if no known key made it.
        subject_key_id: lowercase hex, None if not stated.
        authority_key: what it says of its signer.
        serial: serial number; None while the certificate is not made.
        not_before: aware UTC, whole seconds, as is ``not_after``.
        is_ca: basic constraints say CA:TRUE. ``critical_ca``: and are critical.
        may_sign: key usage has keyCertSign; None without a key usage.
        path_length: how many CAs may follow below it in a row; None is no limit.
        purposes: object identifiers of the extended key usage, sorted; None is any.
        constraints: name constraints, None without.
        names: its own names, which constraints above it are about.
        strange: critical extensions (object identifiers) that some verifier does not know, sorted.
    """

    subject: DistinguishedName
    issuer: DistinguishedName
    spki: str
    signer: str | None
    subject_key_id: str | None
    authority_key: AuthorityKey
    serial: int | None
    not_before: datetime
    not_after: datetime
    is_ca: bool = True
    critical_ca: bool = True
    may_sign: bool | None = True
    path_length: int | None
    purposes: tuple[str, ...] | None = None
    constraints: NameConstraints | None = None
    names: GeneralNames = NO_NAMES
    strange: tuple[str, ...] = ()

    @classmethod
    def of(cls, certificate: x509.Certificate, known: Iterable[x509.Certificate] = ()) -> CaFacts:
        """Return the facts of a certificate.

        Args:
            certificate: a root, an issuing CA, or anything that is presented as one.
            known: where to look for its signer, besides itself.
        """
        return _of(certificate, tuple(known))

    def __hash__(self) -> int:
        # Sets of them are looked up for each leaf; equal facts are equal in these three.
        return hash((self.spki, self.issuer, self.not_after))

    @property
    def self_signed(self) -> bool:
        """Whether it is a root, as OpenSSL tells it."""
        return (
            self.subject == self.issuer
            and self.signer == self.spki
            and self.authority_key.fits(self)
        )

    @property
    def for_mutual_tls(self) -> bool:
        """Whether its extended key usage allows leaves of servers and of clients."""
        return self.purposes is None or {oid.dotted_string for oid in _MUTUAL_TLS} <= {
            *self.purposes
        }

    def valid_at(self, instant: datetime) -> bool:
        """Whether ``instant`` is within its dates; its last second is not, as in OpenSSL."""
        return self.not_before <= instant < self.not_after

    def title(self) -> str:
        """Return what to call it in a message: ``the root CN=root-g1.example.org``."""
        return f"the {'root' if self.self_signed else 'CA'} {self.subject.text}"


def interchangeable(a: CaFacts, b: CaFacts, *, below: Iterable[AuthorityKey] = ()) -> bool:
    """Tell whether a verifier may hold one of them instead of the other, apart from their dates.

    Args:
        a: one certificate.
        b: the other.
        below: the authority key ids of what they signed. The serial numbers may differ unless one
            of these names a serial number.
    """
    if any(key.serial is not None for key in below) and a.serial != b.serial:
        return False
    return _lasting(a) == _lasting(b)


def _lasting(ca: CaFacts) -> tuple[object, ...]:
    return (
        *(ca.subject, ca.issuer, ca.spki, ca.signer, ca.subject_key_id, ca.self_signed),
        *(ca.is_ca, ca.critical_ca, ca.may_sign, ca.path_length, ca.purposes),
        *(ca.constraints, ca.names, ca.strange, None if ca.self_signed else ca.authority_key),
    )


@lru_cache(maxsize=1024)
def _of(certificate: x509.Certificate, known: tuple[x509.Certificate, ...]) -> CaFacts:
    signer = signer_among(certificate, (certificate, *known))
    basic = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    key_id = subject_key_id(certificate)
    return CaFacts(
        subject=DistinguishedName.of(certificate.subject),
        issuer=DistinguishedName.of(certificate.issuer),
        spki=spki_sha256(certificate),
        signer=spki_sha256(signer) if signer else None,
        subject_key_id=key_id.hex() if key_id is not None else None,
        authority_key=AuthorityKey.of(certificate),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=basic is not None and basic.value.ca,
        critical_ca=basic is not None and basic.critical,
        may_sign=usage.value.key_cert_sign if usage else None,
        path_length=path_length_of(certificate),
        purposes=tuple(sorted(p.dotted_string for p in purposes.value)) if purposes else None,
        constraints=NameConstraints.of(certificate),
        names=GeneralNames.of(certificate).alternative(),
        strange=strange_extensions(certificate),
    )


def strange_extensions(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the critical extensions that not every verifier knows, sorted; those refuse it."""
    return tuple(
        sorted(
            stated.oid.dotted_string
            for stated in certificate.extensions
            if stated.critical and stated.oid not in _KNOWN
        )
    )
