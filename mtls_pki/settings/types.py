"""Field types that the settings share; each message says what to write instead."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.names import common_name_mistake, organization_mistake
from mtls_pki.pki.parsing import certificates_pem
from mtls_pki.rotation.durations import DurationError, format_duration, parse_duration
from mtls_pki.rotation.generations import generation_mistake
from mtls_pki.settings.host_names import LABEL, LONGEST, host_name_mistake, is_address

# How the pulumi CLI writes an unquoted YAML timestamp back when it saves a stack file.
_GO_TIME = re.compile(
    r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d\d)(\d\d) (?:[A-Z]+|[+-]\d{2,4})$"
)
# Of clusters.sources.greetings; a test compares them.
_ENDPOINT_SCHEMES = ("postgresql", "nats")
_ABANDONED = re.compile(
    r"stack|(cluster|namespace|bundle)/[a-z0-9.-]+|issuer/[A-Za-z]+/[a-z0-9.-]+"
    r"|consumer/[a-z_]+/[a-z0-9.-]+"
)
_OBJECT_ENTRY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?/[A-Z][A-Za-z]+/[a-z0-9.-]+")
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
# A dot-atom (RFC 5322 3.2.3) in ASCII: an rfc822Name is an IA5String (RFC 5280 4.2.1.6).
_MAILBOX_NAME = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_CONFIG_MAP_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
# One part of a mount's path, without characters that have a meaning in a policy or a URL.
_VAULT_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Leaves room for generations, backends and namespaces behind it (Kubernetes, 253 characters).
_LONGEST_BASE = 150
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# With a length in two bytes or more, as every certificate has.
_DER_SEQUENCE = (b"\x30\x82", b"\x30\x83", b"\x30\x81")
# UTCTime begins in 1950 (RFC 5280 4.1.2.5.1); the longest durations added to the year 9000 end
# before GeneralizedTime does, in 9999.
_YEARS = range(1950, 9001)


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("write a Go duration with its unit, such as 720h or 90s")
    try:
        return parse_duration(value)
    except DurationError as error:
        raise ValueError(str(error)) from None


def _instant(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(_GO_TIME.sub(r"\1T\2\3:\4", value))
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise ValueError("write an RFC 3339 time in UTC such as 2026-11-01T00:00:00Z")
    if value.tzinfo is None:
        raise ValueError(f"write the time zone: {value.isoformat()}Z")
    if value.microsecond:
        raise ValueError("write whole seconds (RFC 5280 4.1.2.5 has no fractions)")
    if value.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return value.astimezone(UTC)


def _dns_label(value: str) -> str:
    if not LABEL.fullmatch(value):
        raise ValueError(
            "write a DNS label: at most 63 of a-z, 0-9 and '-', beginning and ending with a letter "
            "or digit (RFC 1123 2.1)"
        )
    return value


def _object_name(value: str) -> str:
    if len(value) > LONGEST or not all(LABEL.fullmatch(label) for label in value.split(".")):
        raise ValueError(
            "write the name of an object: at most 253 of a-z, 0-9, '-' and '.', each part between "
            "dots beginning and ending with a letter or digit (RFC 1123 2.1)"
        )
    return value


class SpellingError(ValueError):
    """A value is spelled otherwise than it must be; the message may hold the value.

    Attributes:
        plain: the same without anything of the value, for where a secret stands near it.
    """

    def __init__(self, told: str, plain: str) -> None:
        super().__init__(told)
        self.plain = plain


def _base_name(value: str) -> str:
    if len(_object_name(value)) > _LONGEST_BASE:
        raise ValueError(
            f"is {len(value)} characters long; write at most {_LONGEST_BASE}, because the names of "
            "objects begin with it"
        )
    return value


def _dns_name(value: str) -> str:
    mistake = host_name_mistake(value)
    if mistake is not None:
        raise SpellingError(mistake, "write a lower-case DNS name")
    return value


def _domain(value: str) -> str:
    if value.startswith("*."):
        raise ValueError("write the domain without a wildcard")
    if is_address(value):
        raise ValueError("is an IP address; write a DNS domain")
    return _dns_name(value)


def _generation(value: str) -> str:
    return _checked(value, generation_mistake)


def _checked(value: str, mistake_in: Callable[[str], str | None]) -> str:
    mistake = mistake_in(value)
    if mistake is not None:
        raise ValueError(mistake)
    return value


def _config_map_key(value: str) -> str:
    if not _CONFIG_MAP_KEY.fullmatch(value):
        raise ValueError("write a ConfigMap key such as ca.crt (letters, digits, '-', '_', '.')")
    return value


def _common_name(value: str) -> str:
    return _checked(value, common_name_mistake)


def _organization(value: str) -> str:
    return _checked(value, organization_mistake)


def _email_address(value: str) -> str:
    name, _, domain = value.rpartition("@")
    try:
        _domain(domain)
    except ValueError:
        name = ""
    if len(name) > 64 or not _MAILBOX_NAME.fullmatch(name):
        raise ValueError("write a mailbox with a lower-case domain such as operator@monoskope.io")
    return value


def _ip(value: str) -> str:
    try:
        address = ip_address(value)
    except ValueError:
        raise ValueError("write an IP address such as 10.0.0.5 or 2001:db8::5") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise SpellingError(
                "has a zone, which means something on one machine only; write "
                f"{value.partition('%')[0]}, or an address that is not link-local",
                "write an IP address without a zone",
            )
        if address.ipv4_mapped is not None:
            # A certificate holds the four bytes (RFC 5280 4.2.1.6), as Go writes them.
            raise SpellingError(
                f"is an IPv4 address written as IPv6; write {address.ipv4_mapped}",
                "write an IPv4 address as such",
            )
    return str(address)


def _no_uris(value: tuple[str, ...]) -> tuple[str, ...]:
    if value:
        raise ValueError(
            "leave it out: a leaf has one URI, the SPIFFE ID of its service account, and SPIFFE's "
            "verifiers refuse one with a second (X.509-SVID 2); another identity is another "
            "service (serviceAccount)"
        )
    return value


def _endpoint(value: str) -> str:
    scheme, separator, address = value.rpartition("://")
    host, colon, port = address.rpartition(":")
    if separator and scheme not in _ENDPOINT_SCHEMES:
        raise ValueError(
            f"write one of {', '.join(f'{each}://' for each in _ENDPOINT_SCHEMES)}, or nothing "
            "before HOST:PORT where TLS comes first"
        )
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("write HOST:PORT, such as gateway.example.com:443 or [2001:db8::5]:443")
    return value


def _abandoned(value: str) -> str:
    if _ABANDONED.fullmatch(value) is None:
        raise ValueError(
            "write stack, cluster/NAME, namespace/NAME, bundle/NAME, issuer/KIND/NAME or "
            "consumer/NAME/CLUSTER, as the refusal names it"
        )
    return value


def _object_entry(value: str) -> str:
    if _OBJECT_ENTRY.fullmatch(value) is None:
        raise ValueError("write CLUSTER/NAMESPACE/KIND/NAME, as the refusal names it")
    return value


def _stack_name(value: str) -> str:
    if _STACK_NAME.fullmatch(value) is None:
        raise ValueError("write PROJECT/STACK, as the refusal names it")
    return value


def _https_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        nothing_more = parts.port != 0 and value.rstrip("/") == f"https://{parts.netloc}"
    except ValueError:
        nothing_more = False
    # Before an @ a URL has a user's name and password, which every issuer would then contain.
    if not nothing_more or not parts.hostname or "@" in parts.netloc:
        raise ValueError(
            "write https://HOST:PORT and nothing more; a token never goes in clear text"
        )
    return value.rstrip("/")


def _monitoring_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and parts.port != 0 and parts.hostname
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT, without user and query")
    return value.rstrip("/")


def _vault_path(value: str) -> str:
    if not all(_VAULT_SEGMENT.fullmatch(segment) for segment in value.split("/")):
        raise ValueError(
            "write a path such as pki-mesh: letters, digits, '-', '_', no '/' at the ends"
        )
    return value


class UnreadSecret(SecretStr):
    """A secret that is encrypted in the stack file and was not decrypted.

    Nothing else is known of it.
    """

    def __init__(self) -> None:
        super().__init__("")

    def get_secret_value(self) -> str:
        """Refuse: nobody knows the value."""
        raise ValueError("the secret was not decrypted")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnreadSecret)

    def __hash__(self) -> int:
        return hash(UnreadSecret)


def _secret(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, UnreadSecret) else handler(value)


class PemFile(NamedTuple):
    """A file of certificates named in the configuration, and its certificates in PEM alone."""

    path: str
    pem: str


class FileError(ValueError):
    """A file is not what is wanted; the message begins with its path.

    So it is named even where no value may be shown, because a secret stands near it.
    """


def _pem_file(value: Any, info: ValidationInfo) -> PemFile:
    if isinstance(value, PemFile):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("write the path of a PEM file, relative to the stack file")
    if value.lstrip().startswith("-----BEGIN"):
        raise ValueError("put the PEM text into a file and write its path, such as trust/g2.pem")
    directory: Path = (info.context or {}).get("directory", Path())
    try:
        content = (directory / value).read_bytes()
    except FileNotFoundError:
        raise FileError(f"{value}: no such file; write a path relative to the stack file") from None
    except OSError as error:
        raise FileError(
            f"{value} cannot be read ({error.strerror}); write the path of a file"
        ) from None
    if content.startswith(_UTF_16):
        raise FileError(f"{value} is UTF-16 text; save it as UTF-8")
    if content.startswith(_DER_SEQUENCE):
        raise FileError(
            f"{value} is DER, no PEM text; convert it with: openssl x509 -inform DER -in FILE -out "
            "FILE.pem"
        )
    try:
        # Only text around the blocks can be anything but ASCII, and it does not go on.
        text = content.decode("utf-8-sig", errors="replace")
        return PemFile(value, certificates_pem(text, origin=value))
    except PkiError as error:
        raise FileError(str(error)) from None


def _passed_on(value: Any, info: ValidationInfo) -> PemFile:
    if isinstance(value, PemFile):
        return value
    file = _pem_file(value, info)
    directory: Path = (info.context or {}).get("directory", Path())
    if (directory / file.path).read_bytes().startswith(BOM_UTF8):
        raise FileError(
            f"{file.path} begins with a byte order mark, behind which other programs do not find "
            "its first certificate; save it without one"
        )
    return file


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str)
]
Instant = Annotated[datetime, BeforeValidator(_instant)]
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
BaseName = Annotated[str, AfterValidator(_base_name)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
DnsName = Annotated[str, AfterValidator(_dns_name)]
Domain = Annotated[str, AfterValidator(_domain)]
Generation = Annotated[str, AfterValidator(_generation)]
ConfigMapKey = Annotated[str, AfterValidator(_config_map_key)]
CommonName = Annotated[str, AfterValidator(_common_name)]
Organization = Annotated[str, AfterValidator(_organization)]
EmailAddress = Annotated[str, AfterValidator(_email_address)]
IpAddress = Annotated[str, AfterValidator(_ip)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
NoUris = Annotated[tuple[str, ...], AfterValidator(_no_uris)]
Abandoned = Annotated[str, AfterValidator(_abandoned)]
ObjectEntry = Annotated[str, AfterValidator(_object_entry)]
StackName = Annotated[str, AfterValidator(_stack_name)]
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
MonitoringUrl = Annotated[str, AfterValidator(_monitoring_url)]
VaultPath = Annotated[str, AfterValidator(_vault_path)]
CertificateFile = Annotated[PemFile, BeforeValidator(_pem_file)]
# Of which not only the certificates go on, but the path too.
PassedOnFile = Annotated[PemFile, BeforeValidator(_passed_on)]
Secret = Annotated[SecretStr, WrapValidator(_secret)]
