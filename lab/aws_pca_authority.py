"""A CA of AWS Private CA as AWS documents it, in place of moto's.

moto 5.2 answers the API, but gives every certificate a year and an RSA key's signature, knows the
extensions of two templates, and takes whatever is imported. This class keeps to AWS's pages:
"Understanding certificate templates", IssueCertificate, ImportCertificateAuthorityCertificate. What
no emulator shows (IAM, prices, the time that things take) is listed in docs/aws-pca.md.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import moto.acmpca.models as models
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from moto.core.exceptions import JsonRESTError

# AWS takes seconds for both; long enough here that a caller who does not wait is found out.
_MAKING_SECONDS = 0.3
# "By default, the certificate is backdated by 60 minutes" (IssueCertificate, ValidityNotBefore).
_BACKDATED = timedelta(minutes=60)
# How long a token makes two calls one (IssueCertificate, IdempotencyToken).
_TOKEN_SECONDS = 300

Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_EC: Mapping[str, ec.EllipticCurve] = {
    "EC_prime256v1": ec.SECP256R1(),
    "EC_secp384r1": ec.SECP384R1(),
    "EC_secp521r1": ec.SECP521R1(),
}
_DIGESTS: Mapping[str, Digest] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_END_ENTITIES = {
    "EndEntityCertificate/V1": (_SERVER, _CLIENT),
    "EndEntityClientAuthCertificate/V1": (_CLIENT,),
    "EndEntityServerAuthCertificate/V1": (_SERVER,),
}
_BLANK = "BlankEndEntityCertificate_APICSRPassthrough/V1"
_PASSED_THROUGH = (
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
)
_NAMES = (
    ("Country", NameOID.COUNTRY_NAME),
    ("State", NameOID.STATE_OR_PROVINCE_NAME),
    ("Locality", NameOID.LOCALITY_NAME),
    ("Organization", NameOID.ORGANIZATION_NAME),
    ("OrganizationalUnit", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("CommonName", NameOID.COMMON_NAME),
)

Extension = tuple[x509.ExtensionType, bool]
"""An extension, and whether it is critical."""


class RefusedError(JsonRESTError):  # type: ignore[misc]
    """An error of the API."""

    code = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


class Authority(models.CertificateAuthority):  # type: ignore[misc]
    """One CA, as AWS documents it."""

    status: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.usage_mode = "GENERAL_PURPOSE"
        kind = self.certificate_authority_configuration["KeyAlgorithm"]
        self._key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(_EC[kind])
            if kind in _EC
            else rsa.generate_private_key(public_exponent=65537, key_size=int(kind[4:]))
        )
        self._made = time.monotonic()
        self._issued_at: dict[str, float] = {}
        self._tokens: dict[str, tuple[float, str]] = {}

    @property
    def key(self) -> Any:
        return self._key

    @property
    def issuer(self) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(oid, self.subject[key])
                for key, oid in _NAMES
                if key in self.subject
            ]
        )

    @property
    def csr(self) -> bytes:
        self._require_made()
        builder = x509.CertificateSigningRequestBuilder().subject_name(self.issuer)
        return builder.sign(self._key, self._digest()).public_bytes(Encoding.PEM)

    def _require_made(self) -> None:
        if time.monotonic() - self._made < _MAKING_SECONDS:
            raise RefusedError("RequestInProgressException", "The request is already in progress.")

    def _digest(self) -> Digest:
        algorithm: str = self.certificate_authority_configuration["SigningAlgorithm"]
        return _DIGESTS[algorithm[:6]]

    def issue(self, params: Mapping[str, Any]) -> str:
        """Answer ``IssueCertificate``."""
        template = params.get("TemplateArn", "template/EndEntityCertificate/V1")
        template = template.partition(":::template/")[2] or template.partition("template/")[2]
        token = params.get("IdempotencyToken")
        known = self._tokens.get(token) if token else None
        if known and time.monotonic() - known[0] < _TOKEN_SECONDS:
            return known[1]
        first = template == "RootCACertificate/V1" and self.status == "PENDING_CERTIFICATE"
        if self.status != "ACTIVE" and not first:
            raise RefusedError(
                "InvalidStateException",
                "The certificate authority is not in a valid state for issuing certificates",
            )
        if (
            params["SigningAlgorithm"]
            != self.certificate_authority_configuration["SigningAlgorithm"]
        ):
            raise RefusedError(
                "InvalidArgsException",
                "The signing algorithm family must match the algorithm family of the CA's key",
            )
        request = x509.load_pem_x509_csr(base64.b64decode(params["Csr"]))
        certificate = self._certificate(request, template, _end(params["Validity"]))
        identifier = format(certificate.serial_number, "032x")
        arn = f"{self.arn}/certificate/{identifier}"
        self.issued_certificates[arn] = certificate.public_bytes(Encoding.PEM)
        self._issued_at[arn] = time.monotonic()
        if not first:
            chain = self.certificate_bytes.strip() + b"\n" + _decoded(self.certificate_chain)
            self.issued_certificates_certificate_chains[arn] = chain
        if token:
            self._tokens[token] = (time.monotonic(), arn)
        return arn

    def _certificate(
        self, request: x509.CertificateSigningRequest, template: str, end: datetime
    ) -> x509.Certificate:
        own = self.certificate
        if own is not None and end > own.not_valid_after_utc:
            raise RefusedError(
                "ValidationException",
                "The certificate validity specified exceeds the certificate authority validity",
            )
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(own.subject if own is not None else self.issuer)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC).replace(microsecond=0) - _BACKDATED)
            .not_valid_after(end)
        )
        for extension, critical in self._extensions(request, template):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, self._digest())

    def _extensions(
        self, request: x509.CertificateSigningRequest, template: str
    ) -> list[Extension]:
        found: list[Extension] = [
            (x509.SubjectKeyIdentifier.from_public_key(request.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
        ]
        if template == "RootCACertificate/V1":
            return [*found, (x509.BasicConstraints(True, None), True), (_usage(ca=True), True)]
        name, _, length = template.removesuffix("/V1").partition("_PathLen")
        if name == "SubordinateCACertificate" and length in ("0", "1", "2", "3"):
            limited = x509.BasicConstraints(True, int(length))
            return [*found, (limited, True), (_usage(ca=True), True)]
        found.append((x509.BasicConstraints(False, None), True))
        if template in _END_ENTITIES:
            extended = x509.ExtendedKeyUsage(_END_ENTITIES[template])
            passed = _of(request, (ExtensionOID.SUBJECT_ALTERNATIVE_NAME,))
            return [*found, (_usage(ca=False), True), (extended, False), *passed]
        if template == _BLANK:
            return [*found, *_of(request, _PASSED_THROUGH)]
        raise RefusedError("InvalidArgsException", f"The template {template} does not exist")

    def get_certificate(self, certificate_arn: str) -> tuple[bytes, bytes]:
        if certificate_arn not in self.issued_certificates:
            raise RefusedError("ResourceNotFoundException", f"Resource {certificate_arn} not found")
        if time.monotonic() - self._issued_at[certificate_arn] < _MAKING_SECONDS:
            raise RefusedError("RequestInProgressException", "The request is already in progress.")
        found: tuple[bytes, bytes] = super().get_certificate(certificate_arn)
        return found

    def import_certificate_authority_certificate(
        self, certificate: bytes, certificate_chain: bytes | None
    ) -> None:
        chain = _decoded(certificate_chain)
        if self.status not in ("PENDING_CERTIFICATE", "ACTIVE", "EXPIRED"):
            raise RefusedError("InvalidStateException", f"{self.arn} is {self.status}")
        given = x509.load_pem_x509_certificate(certificate)
        if _spki(given.public_key()) != _spki(self._key.public_key()):
            raise RefusedError(
                "CertificateMismatchException",
                "The certificate authority certificate you are importing does not comply with "
                "conditions specified in the certificate that signed it.",
            )
        if (self.certificate_authority_type == "ROOT") == bool(chain):
            raise RefusedError(
                "MalformedCertificateException", "The chain is missing, or unexpected"
            )
        if chain:
            try:
                given.verify_directly_issued_by(x509.load_pem_x509_certificates(chain)[0])
            except (ValueError, TypeError, InvalidSignature):
                raise RefusedError(
                    "CertificateMismatchException", "The chain did not sign the certificate"
                ) from None
        # moto keeps the chain as it came, in base64.
        self.certificate_bytes, self.certificate_chain = certificate, certificate_chain
        self.status, self.updated_at = "ACTIVE", models.unix_time()


def _decoded(chain: bytes | None) -> bytes:
    return base64.b64decode(chain) if chain else b""


def _spki(key: Any) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        key_encipherment=not ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _of(request: x509.CertificateSigningRequest, which: tuple[Any, ...]) -> list[Extension]:
    return [(each.value, each.critical) for each in request.extensions if each.oid in which]


def _end(validity: Mapping[str, Any]) -> datetime:
    value, now = int(validity["Value"]), datetime.now(UTC).replace(microsecond=0)
    kind = validity["Type"]
    if kind == "ABSOLUTE":
        return datetime.fromtimestamp(value, UTC)
    if kind == "END_DATE":
        return datetime.strptime(str(value), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return now + timedelta(days=value * {"DAYS": 1, "MONTHS": 30, "YEARS": 365}[kind])
