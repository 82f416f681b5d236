"""The facts of CA certificates that the configuration asks for, before they are made.

Field by field what `pki.certificates` builds, except the serial number, which is not known before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mtls_pki.pki import names
from mtls_pki.pki.ca_facts import AuthorityKey, CaFacts, DistinguishedName
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.name_constraints import Constraint, NameConstraints


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What certificates say of a key: its SPKI fingerprint and its subject key id, both hex."""

    spki: str
    subject_key_id: str

    @classmethod
    def of(cls, key: CertificatePublicKeyTypes) -> KeyFacts:
        """Return the facts of a public key."""
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(
            spki=hashlib.sha256(spki).hexdigest(),
            subject_key_id=x509.SubjectKeyIdentifier.from_public_key(key).digest.hex(),
        )

    @classmethod
    def pending(cls, label: str) -> KeyFacts:
        """Return the facts of a key that is not made yet, and so is like no other key."""
        return cls(spki=f"pending:{label}", subject_key_id=f"pending:{label}")


def expected_root(
    *, key: KeyFacts, common_name: str, validity: Validity, path_length: int | None = 1
) -> CaFacts:
    """Return the facts of what `pki.certificates.root_certificate` makes of the same arguments.

    Raises:
        PkiError: ``common_name`` cannot be used.
    """
    name = DistinguishedName.of(names.subject(common_name))
    return CaFacts(
        subject=name,
        issuer=name,
        spki=key.spki,
        signer=key.spki,
        subject_key_id=key.subject_key_id,
        authority_key=AuthorityKey(),
        serial=None,
        not_before=validity.not_before,
        not_after=validity.not_after,
        path_length=path_length,
    )


def expected_issuing_ca(
    *,
    key: KeyFacts,
    common_name: str,
    validity: Validity,
    path_length: int = 0,
    permitted_dns_domains: tuple[str, ...] = (),
    root: CaFacts,
) -> CaFacts:
    """Return the facts of what `pki.certificates.issuing_certificate` makes under ``root``.

    Raises:
        PkiError: ``common_name`` or a domain cannot be used.
    """
    domains = names.permitted_domains(permitted_dns_domains)
    permitted = tuple(Constraint("dns", domain) for domain in domains)
    return CaFacts(
        subject=DistinguishedName.of(names.subject(common_name)),
        issuer=root.subject,
        spki=key.spki,
        signer=root.spki,
        subject_key_id=key.subject_key_id,
        authority_key=AuthorityKey(key_id=root.subject_key_id),
        serial=None,
        not_before=validity.not_before,
        not_after=validity.not_after,
        path_length=path_length,
        constraints=NameConstraints(permitted=permitted) if permitted else None,
    )
