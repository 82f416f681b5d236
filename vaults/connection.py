"""A connection to a Vault that reads, and says by name why it could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import hvac
import requests
from hvac import exceptions

from settings.model import VaultSettings
from vaults.diagnosis import explain

_TIMEOUT_SECONDS = 10
# In the text of an error by Python's ssl (OpenSSL's reason code).
_NOT_VERIFIED = "CERTIFICATE_VERIFY_FAILED"


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


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What a Vault tells anybody.

    Attributes:
        version: such as ``2.7.2``.
        openbao: whether it is an OpenBao.
        initialized: whether it has keys at all.
        sealed: whether it can do nothing until somebody unseals it.
        clock: its own time, whole seconds.
    """

    version: str
    openbao: bool
    initialized: bool
    sealed: bool
    clock: datetime


@dataclass(frozen=True, kw_only=True)
class HeldIssuer:
    """One issuer of a PKI mount.

    Attributes:
        issuer_id: the server's own id.
        name: empty where it has none.
        certificate_pem: its certificate.
        default: whether it signs for whoever names none.
        has_key: whether it can sign.
    """

    issuer_id: str
    name: str
    certificate_pem: str
    default: bool
    has_key: bool


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
    return hvac.Client(
        url=address.url,
        token=token,
        namespace=address.namespace,
        verify=str(address.ca_file) if address.ca_file else True,
        timeout=_TIMEOUT_SECONDS,
        allow_redirects=True,
    )


class Vault:
    """A client of one Vault; it has no method that writes.

    The token is the user's own: ``VAULT_TOKEN``, else what ``bao login`` or ``vault login`` left in
    ``~/.vault-token``. It goes into requests and nowhere else.
    """

    def __init__(self, address: VaultAddress) -> None:
        """Nothing is sent yet."""
        self.address = address
        self._client = connect(address)
        # What the server says of itself is outside of its namespaces, and for anybody.
        self._anybody = connect(replace(address, namespace=None), token="")

    def server(self) -> ServerFacts:
        """Return what the server says of itself without a token.

        Raises:
            VaultError: it cannot be reached.
        """
        # sys/health answers with an error status while the server is sealed.
        health = self._call(
            "GET",
            "sys/health?sealedcode=200&uninitcode=200&standbyok=true&perfstandbyok=true",
            client=self._anybody,
        )
        version = str(health.get("version", ""))
        return ServerFacts(
            version=version,
            # OpenBao counts from 2.0 on and has dropped what tells editions apart.
            openbao="enterprise" not in health and not version.startswith(("0.", "1.")),
            initialized=bool(health.get("initialized")),
            sealed=bool(health.get("sealed")),
            clock=datetime.fromtimestamp(int(health.get("server_time_utc", 0)), UTC),
        )

    def token_mistake(self) -> str | None:
        """Return why the token is not accepted, or None.

        Raises:
            VaultError: the server cannot be reached.
        """
        if not self._client.token:
            return (
                "there is no token; set VAULT_TOKEN, or log in so that ~/.vault-token has one "
                "(`bao login`, `vault login`)"
            )
        try:
            self._call("GET", "auth/token/lookup-self")
        except _ForbiddenError:
            return (
                f"{self.address.url} does not accept the token (wrong, expired or revoked); "
                "log in anew"
            )
        return None

    def missing_capabilities(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Return what the token may not do, by path.

        Args:
            wanted: path -> capabilities, such as ``{"pki/roles/x": ["create", "update"]}``.

        Raises:
            VaultError: the server cannot be reached or does not tell.
        """
        answer = self._call("POST", "sys/capabilities-self", {"paths": list(wanted)})
        held = answer.get("data", answer)
        missing = {}
        for path, capabilities in wanted.items():
            granted = set(held.get(path, ()))
            lacking = [each for each in capabilities if each not in granted]
            if "root" not in granted and lacking:
                missing[path] = lacking
        return missing

    def mount(self, path: str) -> dict[str, Any] | None:
        """Return the secrets engine at ``path`` (``type``, ``description``), None if there is none.

        Raises:
            VaultError: unreachable, or the token may not know.
        """
        return self._mounted(f"sys/mounts/{path}")

    def auth_method(self, path: str) -> dict[str, Any] | None:
        """Return the auth method at ``path``, None if there is none.

        Raises:
            VaultError: unreachable, or the token may not know.
        """
        # Under `sys/auth` the same would want sudo.
        return self._mounted(f"sys/mounts/auth/{path}")

    def issuers(self, mount: str) -> tuple[HeldIssuer, ...]:
        """Return the issuers of a PKI mount.

        Raises:
            VaultError: unreachable, or the token may not know.
        """
        try:
            found = self._call("LIST", f"{mount}/issuers").get("data", {})
        except _NotFoundError:
            return ()
        described = found.get("key_info", {})
        return tuple(
            self._issuer(mount, issuer_id, described.get(issuer_id, {}))
            for issuer_id in found.get("keys", ())
        )

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the ``data`` at ``path``, None if there is none.

        Raises:
            VaultError: unreachable, or the token may not know.
        """
        try:
            answer = self._call("GET", path)
        except _NotFoundError:
            return None
        data: dict[str, Any] = answer.get("data", answer)
        return data

    def _issuer(self, mount: str, issuer_id: str, described: Mapping[str, Any]) -> HeldIssuer:
        data = self.read(f"{mount}/issuer/{issuer_id}") or {}
        return HeldIssuer(
            issuer_id=issuer_id,
            name=data.get("issuer_name") or "",
            certificate_pem=data.get("certificate", ""),
            default=bool(described.get("is_default")),
            has_key=bool(data.get("key_id")),
        )

    def _mounted(self, path: str) -> dict[str, Any] | None:
        try:
            return self.read(path)
        except VaultError as error:
            # Both servers answer 400 for what is not mounted.
            if "No secret engine mount" in str(error):
                return None
            raise

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        client: hvac.Client | None = None,
    ) -> dict[str, Any]:
        try:
            response = (client or self._client).adapter.request(
                method.lower(), f"/v1/{path}", json=dict(body) if body else None
            )
        except exceptions.Forbidden:
            raise _ForbiddenError(
                f"{self.address.url} forbids reading {path}; the token's policy needs "
                f'`path "{path.partition("?")[0]}" {{ capabilities = ["read"] }}` '
                "(deploy/vault-policy-evidence.hcl)"
            ) from None
        except exceptions.InvalidPath:
            raise _NotFoundError(f"{self.address.url} has nothing at {path}") from None
        except exceptions.VaultDown:
            raise VaultError(sealed(self.address)) from None
        except exceptions.VaultError as error:
            meaning = explain(str(error))
            raise VaultError(
                f"{self.address.url}: reading {path} failed: {error}"
                + (f"; {meaning}" if meaning else "")
            ) from None
        except (requests.RequestException, OSError) as error:
            raise VaultError(unreachable(self.address, error)) from None
        if isinstance(response, requests.Response):
            return response.json() if response.status_code == HTTPStatus.OK else {}
        return dict(response)


class _ForbiddenError(VaultError):
    """403."""


class _NotFoundError(VaultError):
    """404."""


def sealed(address: VaultAddress) -> str:
    """Say that the server can do nothing."""
    return (
        f"{address.url} is sealed or not initialised; unseal it (`bao operator unseal`) and run "
        "this again"
    )


def unreachable(address: VaultAddress, error: Exception) -> str:
    """Say why a request did not come through, in one line."""
    # An SSLError is also what a server that restarts makes of a handshake.
    if isinstance(error, requests.exceptions.SSLError) and _NOT_VERIFIED in str(error):
        trusted = address.ca_file or "the system's trust store"
        return (
            f"{address.url} shows a certificate that {trusted} does not verify ({_cause(error)}); "
            "give the CA that signed it as issuing.vault.caBundle"
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
