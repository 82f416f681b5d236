"""What a CA certificate says about itself: the extensions this package writes and reads."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def ca_key_usage() -> x509.KeyUsage:
    """Return the key usage of every CA made here: keyCertSign and cRLSign, nothing else."""
    return x509.KeyUsage(
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


def leaf_key_usage(*, encipherment: bool) -> x509.KeyUsage:
    """Return the key usage of a leaf: digitalSignature, and keyEncipherment where it is RSA."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def extension(
    certificate: x509.Certificate, kind: type[_Extension]
) -> x509.Extension[_Extension] | None:
    """Return the certificate's extension of this kind, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether basic constraints say CA:TRUE."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.value.ca


def path_length_of(certificate: x509.Certificate) -> int | None:
    """Return how many CAs may follow below this one in a row; None is no limit (or no CA)."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints.value.path_length if constraints else None


def permitted_dns_domains(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS domains that a CA may issue for (RFC 5280 4.2.1.10), sorted; empty is all."""
    constraints = extension(certificate, x509.NameConstraints)
    permitted = (constraints.value.permitted_subtrees or ()) if constraints else ()
    return tuple(sorted(str(n.value) for n in permitted if isinstance(n, x509.DNSName)))


def subject_key_id(certificate: x509.Certificate) -> bytes | None:
    """Return the subject key id, or None."""
    identifier = extension(certificate, x509.SubjectKeyIdentifier)
    return identifier.value.digest if identifier else None


def authority_key_id(certificate: x509.Certificate) -> bytes | None:
    """Return the key id part of the authority key id, or None."""
    identifier = extension(certificate, x509.AuthorityKeyIdentifier)
    return identifier.value.key_identifier if identifier else None
