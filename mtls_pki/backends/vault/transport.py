"""How requests reach a Vault, and why one did not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import hvac
import requests
from hvac import exceptions
from hvac.utils import get_token_from_env

from mtls_pki.backends.vault.section import VaultSettings

_TIMEOUT_SECONDS = 10
# In the text of an error by Python's ssl (OpenSSL's reason code).
_NOT_VERIFIED = "CERTIFICATE_VERIFY_FAILED"
# The same text -> what to do; the first that it has counts. An unknown CA is what is left.
_SERVER_CERTIFICATES = {
    "mismatch, certificate is not valid for": "write an address that it names (issuing.vault)",
    "certificate has expired": "renew it, or set this machine's clock right",
    "certificate is not yet valid": "set the clock right, of this machine or of who issued it",
}
_UNKNOWN_CA = "give the CA that signed it as issuing.vault.caBundle"
# Servers issue printable tokens without whitespace; nothing else fits a header.
_TOKEN = re.compile(r"[!-~]+")
_ABSENT = (
    "there is no token; set VAULT_TOKEN, or log in so that ~/.vault-token has one that can be read "
    "(`bao login`, `vault login`)"
)
_MALFORMED = (
    "the token has a blank, the end of a line or another character that no token has; set "
    "VAULT_TOKEN to the token alone"
)


class VaultError(Exception):
    """The Vault could not be read; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class VaultAddress:
    """Where the Vault is.

    Attributes:
        url: ``https://host:port``.
        ca_file: of the CA that signed its server certificate; None trusts what the system does.
        namespace: None outside of namespaces.
    """

    url: str
    ca_file: Path | None = None
    namespace: str | None = None


def vault_address(vault: VaultSettings, directory: Path) -> VaultAddress:
    """Return how this program reaches the Vault; ``directory`` is that of the stack file."""
    return VaultAddress(
        url=vault.reached_at,
        ca_file=directory / vault.ca_bundle.path if vault.ca_bundle else None,
        namespace=vault.namespace,
    )


def connect(address: VaultAddress, *, token: str | None = None) -> hvac.Client:
    """Return a client of the Vault at ``address``; nothing is sent yet.

    Args:
        address: where it is.
        token: empty for none, None for the user's own.
    """
    session = InsideTls()
    # Of a session that it is given, hvac takes this and not its own argument.
    session.verify = str(address.ca_file) if address.ca_file else True
    return hvac.Client(
        url=address.url,
        token=_own_token() if token is None else token,
        namespace=address.namespace,
        session=session,
        timeout=_TIMEOUT_SECONDS,
    )


class InsideTls(requests.Session):
    """Follows a standby to the active server as Vault's own client does: never out of TLS."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where the answer points to.

        Raises:
            VaultError: there the token would go in clear text.
        """
        target: str | None = super().get_redirect_target(resp)
        if target is None:
            return None
        there = urljoin(resp.url, target)
        if resp.url.startswith("https:") and not there.startswith("https:"):
            raise VaultError(
                f"{resp.url} redirects to {there}, where the token would go in clear text; correct "
                "the server's own api_addr"
            )
        return target


def _own_token() -> str:
    """Return the user's token; empty where there is none, or its file cannot be read."""
    try:
        return get_token_from_env() or ""
    except (OSError, UnicodeDecodeError):
        return ""


def send(
    client: hvac.Client,
    address: VaultAddress,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Send one request and return the JSON object that answers it, empty for none.

    Args:
        client: of :func:`connect`.
        address: that it is connected to.
        method: of HTTP, or ``LIST``.
        path: below ``/v1/``.
        body: as JSON; None for none.

    Raises:
        VaultError: the token cannot be one, the Vault is sealed or cannot be reached, or something
            else answers.
        hvac.exceptions.VaultError: the Vault refuses, in its own words.
    """
    # HTTP libraries quote a header that they refuse, token and all.
    fault = token_fault(client.token) if client.token else None
    if fault is not None:
        raise VaultError(fault)
    try:
        answer = client.adapter.request(
            method.lower(), f"/v1/{path}", json=None if body is None else dict(body)
        )
    except exceptions.VaultDown:
        raise VaultError(_sealed(address)) from None
    except (requests.RequestException, OSError) as error:
        raise VaultError(_unreachable(address, error)) from None
    if isinstance(answer, requests.Response) and answer.status_code == HTTPStatus.NO_CONTENT:
        return {}
    if not isinstance(answer, dict):
        raise VaultError(no_vault(address))
    return answer


def token_fault(token: str) -> str | None:
    """Return why a token cannot be one, None where it can."""
    if not token:
        return _ABSENT
    return None if _TOKEN.fullmatch(token) else _MALFORMED


def no_vault(address: VaultAddress) -> str:
    """Say that something else is there."""
    return f"{address.url} does not answer as a Vault does; is this its address?"


def _sealed(address: VaultAddress) -> str:
    """Say that the server can do nothing."""
    return (
        f"{address.url} is sealed or not initialised; unseal it (`bao operator unseal`) and run "
        "this again"
    )


def _unreachable(address: VaultAddress, error: Exception) -> str:
    """Say why a request did not come through, in one line."""
    # An SSLError is also what a server that restarts makes of a handshake.
    if isinstance(error, requests.exceptions.SSLError) and _NOT_VERIFIED in str(error):
        trusted = address.ca_file or "the system's trust store"
        remedies = (remedy for text, remedy in _SERVER_CERTIFICATES.items() if text in str(error))
        return (
            f"{address.url} shows a certificate that {trusted} does not verify ({_cause(error)}); "
            + next(remedies, _UNKNOWN_CA)
        )
    if isinstance(error, requests.exceptions.Timeout):
        return f"{address.url} does not answer within {_TIMEOUT_SECONDS} s; is it up?"
    if isinstance(error, requests.exceptions.ConnectionError):
        return (
            f"{address.url} cannot be reached ({_cause(error)}); is it up, and is this its address?"
        )
    return f"{address.url} cannot be asked ({_cause(error)}); correct issuing.vault"


def _cause(error: BaseException) -> str:
    """The innermost reason, which is the one that tells."""
    inner = error
    while isinstance(reason := getattr(inner, "reason", None), BaseException):
        inner = reason
    wrapped = [each for each in error.args if isinstance(each, BaseException)]
    if inner is error and wrapped:
        return _cause(wrapped[-1])
    return str(inner).splitlines()[0].partition("object at")[0][-160:] or type(inner).__name__
