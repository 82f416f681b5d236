"""Keys and certificates of the control plane itself, as files.

Nothing here is the subject of the project: these are the certificates with which etcd, the API
server and their clients know each other, laid out as kubeadm does (one CA for the API, another for
etcd, so that a client certificate signed through the CSR API opens no database).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.files import write_private

_BACKDATE = dt.timedelta(minutes=5)  # a clock set back a little must not stop the lab
_CA_LIFETIME = dt.timedelta(days=3650)
_LEAF_LIFETIME = dt.timedelta(days=365)
_RENEW_BEFORE = dt.timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, each a PEM file (0600)."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, stem: Path) -> Pair:
        """The pair ``STEM.crt`` and ``STEM.key``."""
        return cls(
            certificate=stem.with_name(f"{stem.name}.crt"), key=stem.with_name(f"{stem.name}.key")
        )


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The subject of a leaf certificate: a client, and a server too where it has addresses.

    Attributes:
        common_name: the user name for the API server.
        organizations: the groups for the API server.
        addresses: DNS names and IP addresses of a server.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def name(self) -> x509.Name:
        return x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in self.organizations),
                x509.NameAttribute(NameOID.COMMON_NAME, self.common_name),
            ]
        )

    @property
    def alternative_names(self) -> list[x509.GeneralName]:
        return [_general_name(address) for address in self.addresses]


def ensure_authority(pair: Pair, common_name: str) -> None:
    """Make a self-signed CA unless ``pair`` holds one that is good for another month."""
    if _usable(pair, issuer=None, subject=None):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = Subject(common_name=common_name).name
    builder = (
        _builder(name, name, key.public_key(), _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )
    _write(pair, key, builder.sign(key, hashes.SHA256()))


def ensure_leaf(pair: Pair, subject: Subject, *, authority: Pair) -> None:
    """Make a leaf for ``subject`` unless ``pair`` holds one that is good for another month."""
    issuer = _load_certificate(authority)
    if _usable(pair, issuer=issuer, subject=subject):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if subject.addresses:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(subject.name, issuer.subject, key.public_key(), _LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if subject.addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(subject.alternative_names), critical=False
        )
    _write(pair, key, builder.sign(_load_key(authority), hashes.SHA256()))


def ensure_key_pair(private: Path, public: Path) -> None:
    """Make the key of service account tokens unless there is one, and write its public half."""
    try:
        key = _load_key_file(private)
    except (OSError, ValueError, TypeError):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(private, _key_pem(key))
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if not public.exists() or public.read_bytes() != pem:
        write_private(public, pem.decode())


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _usable(pair: Pair, *, issuer: x509.Certificate | None, subject: Subject | None) -> bool:
    """Whether ``pair`` is complete, has this issuer and subject, and is good for a month."""
    try:
        certificate, key = _load_certificate(pair), _load_key(pair)
        certificate.verify_directly_issued_by(issuer or certificate)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    if subject is not None and (
        certificate.subject != subject.name
        or _alternative_names(certificate) != subject.alternative_names
    ):
        return False
    return (
        certificate.public_key() == key.public_key()
        and dt.datetime.now(dt.UTC) + _RENEW_BEFORE < certificate.not_valid_after_utc
    )


def _alternative_names(certificate: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return []


def _load_certificate(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def _load_key(pair: Pair) -> ec.EllipticCurvePrivateKey:
    return _load_key_file(pair.key)


def _load_key_file(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no EC key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _write(pair: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    # Two files cannot be replaced at once; a kill in between leaves a pair that does not match,
    # which the next start finds and makes anew.
    write_private(pair.key, _key_pem(key))
    write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
