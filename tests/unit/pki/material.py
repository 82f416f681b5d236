"""Keys and certificates for tests, made at run time: nothing secret is ever committed.

Keys are named: the same name gives the same key within one run, so a test reads like the story of
its keys ("g1", "g2", "issuing").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_pki.pki.certificates import Validity, issuing_certificate, root_certificate
from mtls_pki.pki.keys import SigningKey, load_private_key
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.profile import ca_key_usage

KEY_KINDS = ("p256", "p384", "p521", "rsa2048", "ed25519")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEN_YEARS = Validity(datetime(2026, 11, 1, tzinfo=UTC), datetime(2036, 10, 29, tzinfo=UTC))
ONE_YEAR = Validity(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC))
ONE_DAY = Validity(NOW - timedelta(hours=1), NOW + timedelta(hours=23))

Extensions = Iterable[tuple[x509.ExtensionType, bool]]

_GENERATORS: dict[str, Callable[[], SigningKey]] = {
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 too weak on purpose
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def key_pem(name: str, kind: str = "p256") -> str:
    """Return the PKCS#8 PEM of the key of this name and kind."""
    return _key_pem(name, kind)


@cache
def _key_pem(name: str, kind: str) -> str:
    return encoded(_GENERATORS[kind](), serialization.PrivateFormat.PKCS8)


def encoded(key: SigningKey, form: serialization.PrivateFormat) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


def key(name: str, kind: str = "p256") -> SigningKey:
    """Return the key of this name as an object."""
    return load_private_key(key_pem(name, kind), origin=name)


def unchecked_key(name: str, kind: str) -> SigningKey:
    """Return the key of this name as an object, even if it is too weak to be taken."""
    made = serialization.load_pem_private_key(key_pem(name, kind).encode(), password=None)
    assert isinstance(made, SigningKey)
    return made


def parsed(pem: str) -> x509.Certificate:
    return parse_certificate(pem, origin="test")


def root(
    generation: str,
    *,
    common_name: str | None = None,
    validity: Validity = TEN_YEARS,
    path_length: int | None = 1,
    kind: str = "p256",
) -> str:
    """Return a root under the key of this generation; its name is the generation's unless given."""
    return root_certificate(
        key_pem=key_pem(generation, kind),
        common_name=common_name or f"root-{generation}.example.org",
        validity=validity,
        path_length=path_length,
    )


def issuing(
    name: str,
    *,
    root_pem: str,
    root_key: str,
    common_name: str | None = None,
    validity: Validity = ONE_YEAR,
    path_length: int = 0,
    permitted: tuple[str, ...] = (),
    kind: str = "p256",
) -> str:
    """Return an issuing CA under the key of this name, signed by ``root_key`` (a PEM)."""
    return issuing_certificate(
        key_pem=key_pem(name, kind),
        common_name=common_name or f"{name}.example.org",
        validity=validity,
        path_length=path_length,
        permitted_dns_domains=permitted,
        root_pem=root_pem,
        root_key_pem=root_key,
    )


def leaf(
    issuer_pem: str,
    issuer_key: SigningKey,
    *,
    dns: str = "gateway.monoskope.svc.cluster.local",
    validity: Validity = ONE_DAY,
    purposes: tuple[x509.ObjectIdentifier, ...] = (
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
    key_id: bool = True,
) -> str:
    """Return a leaf as cert-manager's CA issuer makes it from this project's Certificates.

    Those ask for digital signature, server auth and client auth, and no common name. So: empty
    subject, hence critical names; critical CA:FALSE; no subject key id; the issuer's key id unless
    ``key_id`` is false.
    """
    issuer = parsed(issuer_pem)
    names = [
        x509.DNSName(dns),
        x509.UniformResourceIdentifier("spiffe://cluster.local/ns/monoskope/sa/gateway"),
    ]
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_leaf_key_usage(), True),
        (x509.SubjectAlternativeName(names), True),
    ]
    if key_id:
        extensions.append((authority_key_id(issuer), False))
    return certificate(
        key=key("leaf"),
        subject=None,
        issuer=issuer.subject,
        issuer_key=issuer_key,
        validity=validity,
        extensions=extensions,
        serial=x509.random_serial_number(),
    )


def authority_key_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )


def ca_extensions(
    own_key: SigningKey, *, issuer: x509.Certificate | None = None, path_length: int | None = 0
) -> dict[str, tuple[x509.ExtensionType, bool]]:
    """Return a good CA's extensions by short name, for tests to spoil one of."""
    extensions: dict[str, tuple[x509.ExtensionType, bool]] = {
        "constraints": (x509.BasicConstraints(ca=True, path_length=path_length), True),
        "usage": (ca_key_usage(), True),
        "ski": (x509.SubjectKeyIdentifier.from_public_key(own_key.public_key()), False),
    }
    if issuer:
        extensions["aki"] = (authority_key_id(issuer), False)
    return extensions


def certificate(
    *,
    key: SigningKey,
    subject: str | x509.Name | None,
    issuer: x509.Name | None = None,
    issuer_key: SigningKey | None = None,
    validity: Validity = ONE_YEAR,
    extensions: Extensions,
    serial: int = 1,
) -> str:
    """Return any certificate, good or bad, without the checks of the package under test."""
    name = subject if isinstance(subject, x509.Name) else _name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = issuer_key or key
    made = builder.sign(signer, _hash_for(signer))
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _hash_for(signer: SigningKey) -> hashes.SHA256 | None:
    return None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _name(common_name: str | None) -> x509.Name:
    if common_name is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _leaf_key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
