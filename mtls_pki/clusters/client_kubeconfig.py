"""Kubeconfigs that hold a client certificate: made, and looked at."""

from __future__ import annotations

import base64
import binascii
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography import x509

from mtls_pki.clusters.connection import CONNECT_SECONDS
from mtls_pki.errors import CommandError
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates, pem_of

_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a kubeconfig holds, of its current context.

    Attributes:
        server: URL of the API server.
        user: of the client certificate; None where it has none.
        authorities: the CAs that it trusts for the API server; none where it trusts the system's.
    """

    server: str
    user: x509.Certificate | None
    authorities: tuple[x509.Certificate, ...]


def render(
    *, cluster: str, server: str, authority_pem: str | None, user: str, certificate: str, key: str
) -> str:
    """Return a kubeconfig with one context, ``user@cluster``.

    Args:
        cluster: its name in the stack.
        server: URL of the API server.
        authority_pem: of the CA that signed the API server's certificate; None: the system's.
        user: the name that the certificate gives.
        certificate: PEM, the client's first.
        key: PEM.
    """
    reach: dict[str, str] = {"server": server}
    if authority_pem is not None:
        reach["certificate-authority-data"] = _encoded(authority_pem)
    context = f"{user}@{cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": reach}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _encoded(certificate),
                    "client-key-data": _encoded(key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
    }
    return yaml.safe_dump(document, sort_keys=False)


def read(path: Path) -> Held:
    """Return what a kubeconfig holds; its key is not looked at.

    Raises:
        CommandError: it cannot be read, or has no current context.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # An error of YAML quotes the text around it.
        said = "it is not YAML" if isinstance(error, yaml.YAMLError) else error
        raise CommandError(f"{path} cannot be read ({said})") from None
    if not isinstance(document, dict):
        raise CommandError(f"{path} is no kubeconfig")
    context = _named(document, "contexts", document.get("current-context"), "context", path)
    cluster = _named(document, "clusters", context.get("cluster"), "cluster", path)
    user = _named(document, "users", context.get("user"), "user", path)
    certificates = _certificates(user, "client-certificate", path)
    return Held(
        server=str(cluster.get("server", "")),
        user=certificates[0] if certificates else None,
        authorities=_certificates(cluster, "certificate-authority", path),
    )


def served_otherwise(held: Held) -> str | None:
    """Return why the API server's certificate is none of the CAs in the kubeconfig; None if it is.

    Raises:
        CommandError: the API server cannot be reached.
    """
    if not held.authorities:
        return None
    address = urlsplit(held.server)
    host, port = address.hostname or "", address.port or _HTTPS
    context = ssl.create_default_context(cadata=pem_of(held.authorities))
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        raise CommandError(f"{held.server} cannot be reached ({error})") from None


def _named(
    document: Mapping[str, Any], section: str, name: object, field: str, path: Path
) -> Mapping[str, Any]:
    for each in document.get(section) or ():
        if isinstance(each, dict) and each.get("name") == name and isinstance(each[field], dict):
            found: Mapping[str, Any] = each[field]
            return found
    raise CommandError(f"{path} has no {field} {name!r}; correct current-context")


def _certificates(
    section: Mapping[str, Any], field: str, path: Path
) -> tuple[x509.Certificate, ...]:
    data, file = section.get(f"{field}-data"), section.get(field)
    try:
        if data is not None:
            text = base64.b64decode(data, validate=True).decode("ascii")
        elif file is not None:
            text = (path.parent / str(file)).read_text(encoding="ascii")
        else:
            return ()
        return parse_certificates(text, origin=f"{path}: {field}")
    except PkiError as error:
        raise CommandError(str(error)) from None
    except (OSError, binascii.Error, UnicodeDecodeError, TypeError):
        raise CommandError(f"{path}: {field} cannot be read") from None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
