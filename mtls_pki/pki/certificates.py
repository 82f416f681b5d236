"""CA certificates as a pure function of keys and reviewed configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_pki.pki import names
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.keys import SigningKey, belongs_to, load_private_key, signing_arguments
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.profile import ca_key_usage, leaf_key_usage, path_length_of, subject_key_id
from mtls_pki.pki.requests import parse_request

_EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)  # UTCTime begins here (RFC 5280, 4.1.2.5.1)


@dataclass(frozen=True)
class Validity:
    """From when until when a certificate is valid, both instants included.

    Attributes:
        not_before: aware UTC, whole seconds.
        not_after: aware UTC, whole seconds, later than ``not_before``.

    Raises:
        PkiError: an instant is naive, not UTC, has parts of a second, or lies before 1950, or the
            end does not come after the start.
    """

    not_before: datetime
    not_after: datetime

    def __post_init__(self) -> None:
        for name, instant in (("notBefore", self.not_before), ("notAfter", self.not_after)):
            if instant.utcoffset() != timedelta(0):
                raise PkiError(f"{name} {instant.isoformat()} is not in UTC; write it with a Z")
            if instant.microsecond:
                raise PkiError(
                    f"{name} {instant.isoformat()} has parts of a second, which X.509 cannot hold; "
                    "write whole seconds"
                )
            if instant < _EARLIEST:
                raise PkiError(f"{name} {instant.isoformat()} is before 1950; write a later date")
        if self.not_before >= self.not_after:
            raise PkiError(
                f"notAfter {self.not_after.isoformat()} does not come after notBefore "
                f"{self.not_before.isoformat()}; write a later end"
            )


def root_certificate(
    *, key_pem: str, common_name: str, validity: Validity, path_length: int | None = 1
) -> str:
    """Return the PEM of a trust anchor.

    Field by field as ``step certificate create --profile root-ca``: critical CA:TRUE, critical
    keyCertSign and cRLSign, subject key id (SHA-1 of the key's bit string), subject and issuer
    ``CN=<common_name>``, no authority key id, no extended key usage.

    Args:
        key_pem: its own private key.
        common_name: unique per generation.
        validity: when it is trusted.
        path_length: how many CAs may follow below it in a row; None is no limit.

    Raises:
        PkiError: an argument cannot be used.
    """
    key = load_private_key(key_pem, origin="the root's key")
    name = names.subject(common_name)
    builder = _ca_builder(
        subject=name, issuer=name, key=key.public_key(), validity=validity, path_length=path_length
    )
    return _sign(builder, key)


def issuing_certificate(
    *,
    key_pem: str,
    common_name: str,
    validity: Validity,
    path_length: int = 0,
    permitted_dns_domains: tuple[str, ...] = (),
    organization: str | None = None,
    locality: str | None = None,
    root_pem: str,
    root_key_pem: str,
) -> str:
    """Return the PEM of an issuing CA that the root signs.

    Like the root, plus an authority key id that is the root's subject key id as the root states it.
    The authority key id depends on the root's name and key only. So when the root is renewed (same
    key, new dates), no byte of the issuing CA's certificate changes.

    Args:
        key_pem: the issuing CA's own private key.
        common_name: unique, and not the root's.
        validity: within the root's.
        path_length: how many CAs may follow below it in a row; 1 above istiod.
        permitted_dns_domains: DNS domains it may issue for, as a critical name constraint; see
            `pki.names.permitted_domains` for the spelling. Empty is no constraint. Only DNS names
            are constrained: SPIFFE URIs and addresses stay free.
        organization: of the subject, where it has one.
        locality: of the subject, where it has one.
        root_pem: the root's certificate, exactly one.
        root_key_pem: the root's private key.

    Raises:
        PkiError: an argument cannot be used, or the certificate would not verify under the root.
    """
    key = load_private_key(key_pem, origin="the issuing CA's key")
    return _below_root(
        key=key.public_key(),
        name=names.subject(common_name, organization=organization, locality=locality),
        validity=validity,
        path_length=path_length,
        permitted_dns_domains=permitted_dns_domains,
        root_pem=root_pem,
        root_key_pem=root_key_pem,
    )


def leaf_certificate(
    *,
    key_pem: str,
    dns_names: tuple[str, ...],
    validity: Validity,
    issuer_pem: str,
    issuer_key_pem: str,
) -> str:
    """Return the PEM of a leaf for readers that cannot take what cert-manager writes.

    As cert-manager's CA issuer makes it: no subject, hence critical names (RFC 5280, 4.1.2.6), for
    servers and clients.

    Args:
        key_pem: its own private key.
        dns_names: its names, at least one.
        validity: within its issuer's.
        issuer_pem: the certificate of the CA that signs it, exactly one.
        issuer_key_pem: the private key of this CA.

    Raises:
        PkiError: an argument cannot be used, or it would not verify below the issuer.
    """
    issuer = parse_certificate(issuer_pem, origin="the leaf's issuer")
    issuer_key = load_private_key(issuer_key_pem, origin="the key of the leaf's issuer")
    key = load_private_key(key_pem, origin="the leaf's key").public_key()
    identifier = subject_key_id(issuer)
    usage = leaf_key_usage(encipherment=isinstance(key, rsa.RSAPublicKey))
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    if not dns_names:
        raise PkiError("a leaf needs a name; give one")
    if not belongs_to(issuer_key, issuer) or identifier is None:
        raise PkiError("key and certificate of the leaf's issuer do not belong together")
    if validity.not_before < issuer.not_valid_before_utc:
        raise PkiError("the leaf begins before its issuer; let it begin later")
    if validity.not_after > issuer.not_valid_after_utc:
        raise PkiError("the leaf ends after its issuer; let it end earlier")
    return _sign(
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=True
        )
        .add_extension(
            x509.AuthorityKeyIdentifier(identifier, None, None),
            critical=False,
        ),
        issuer_key,
    )


def certificate_for_request(
    *,
    request_pem: str,
    common_name: str,
    validity: Validity,
    path_length: int = 0,
    permitted_dns_domains: tuple[str, ...] = (),
    root_pem: str,
    root_key_pem: str,
) -> str:
    """Return the PEM of an issuing CA whose key was made elsewhere, such as in a Vault.

    Only the key is taken from the request. The arguments determine what the certificate says, as in
    :func:`issuing_certificate`.

    Args:
        request_pem: one PKCS#10 request, whose signature proves that its maker holds the key.
        common_name: as for :func:`issuing_certificate`, and so are the others.

    Raises:
        PkiError: an argument cannot be used, or the certificate would not verify under the root.
    """
    request = parse_request(request_pem, origin="the issuing CA's request")
    return _below_root(
        key=request.public_key(),
        name=names.subject(common_name),
        validity=validity,
        path_length=path_length,
        permitted_dns_domains=permitted_dns_domains,
        root_pem=root_pem,
        root_key_pem=root_key_pem,
    )


def _below_root(
    *,
    key: CertificatePublicKeyTypes,
    name: x509.Name,
    validity: Validity,
    path_length: int,
    permitted_dns_domains: tuple[str, ...],
    root_pem: str,
    root_key_pem: str,
) -> str:
    root_key = load_private_key(root_key_pem, origin="the root's key")
    root = parse_certificate(root_pem, origin="the root")
    mistakes = [
        *_root_mistakes(root, root_key),
        *_place_mistakes(root, key=key, name=name, validity=validity, path_length=path_length),
    ]
    if mistakes:
        raise PkiError("; ".join(mistakes))
    builder = _ca_builder(
        subject=name, issuer=root.subject, key=key, validity=validity, path_length=path_length
    )
    root_key_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_key_id), critical=False
    )
    domains = names.permitted_domains(permitted_dns_domains)
    if domains:
        constraints = x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)
        builder = builder.add_extension(constraints, critical=True)
    return _sign(builder, root_key)


def _root_mistakes(root: x509.Certificate, root_key: SigningKey) -> list[str]:
    """Return why ``root`` and ``root_key`` cannot sign an issuing CA together."""
    mistakes = []
    if not belongs_to(root_key, root):
        mistakes.append("the root's key is not the one that its certificate certifies")
    if subject_key_id(root) is None:
        mistakes.append("the root states no subject key id; make it again with one")
    return mistakes


def _place_mistakes(
    root: x509.Certificate,
    *,
    key: CertificatePublicKeyTypes,
    name: x509.Name,
    validity: Validity,
    path_length: int,
) -> list[str]:
    """Return why an issuing CA with these properties would not verify under ``root``."""
    mistakes = []
    if key == root.public_key():
        mistakes.append("the issuing CA has the root's key; give it a key of its own")
    if name == root.subject:
        mistakes.append("the issuing CA has the root's common name; give it one of its own")
    if validity.not_before < root.not_valid_before_utc:
        mistakes.append(
            f"the issuing CA begins {validity.not_before.isoformat()}, before its root "
            f"({root.not_valid_before_utc.isoformat()}); let it begin later"
        )
    if validity.not_after > root.not_valid_after_utc:
        mistakes.append(
            f"the issuing CA ends {validity.not_after.isoformat()}, after its root "
            f"({root.not_valid_after_utc.isoformat()}); let it end earlier"
        )
    room = path_length_of(root)
    if room is not None and path_length >= room:
        mistakes.append(
            f"the issuing CA's path length {path_length} does not fit below the root's {room}; "
            f"a root with path length {path_length + 1} or more would hold it"
        )
    return mistakes


def _ca_builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    validity: Validity,
    path_length: int | None,
) -> x509.CertificateBuilder:
    """Return what a root and an issuing CA have in common."""
    if path_length is not None and path_length < 0:
        raise PkiError(f"path length {path_length} is negative; write 0 or more")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(ca_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: SigningKey) -> str:
    """Return the PEM of the certificate of ``builder``; its serial number is the hash of the rest.

    The hash of a draft's to-be-signed bytes includes every input. So certificates that differ in
    anything have different serial numbers, which must be unique per issuer (RFC 5280, 4.1.2.2).
    """
    arguments = signing_arguments(key)
    draft = builder.serial_number(1).sign(key, **arguments)
    digest = hashlib.sha256(draft.tbs_certificate_bytes).digest()
    # 159 bits of it: positive, and at most 20 octets when the sign bit is counted.
    serial = int.from_bytes(digest[:20]) >> 1
    certificate = builder.serial_number(serial).sign(key, **arguments)
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
