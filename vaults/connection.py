"""A connection to a Vault that reads, and says by name why it could not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import hvac
import requests
from hvac import exceptions
from hvac.utils import get_token_from_env

from settings.model import VaultSettings
from vaults.diagnosis import explain

_TIMEOUT_SECONDS = 10
# In the text of an error by Python's ssl (OpenSSL's reason code).
_NOT_VERIFIED = "CERTIFICATE_VERIFY_FAILED"
# The same text -> what to do; the first that it has counts. An unknown CA is what is left.
_SERVER_CERTIFICATES = {
    "mismatch, certificate is not valid for": "write an address that it names (issuing.vault)",
    "certificate has expired": "renew it, or set this machine's clock right",
    "certificate is not yet valid": "set the clock right, of this machine or of who issued it",
}
# Method -> what a policy calls it.
_CAPABILITIES = {"GET": "read", "LIST": "list", "POST": "update"}
_UNKNOWN_CA = "give the CA that signed it as issuing.vault.caBundle"
# What servers make are printable and without blanks; all else cannot stand in a request's header.
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


class Vault:
    """A client of one Vault; it has no method that writes.

    The token is the user's own: ``VAULT_TOKEN``, else what ``bao login`` or ``vault login`` left in
    ``~/.vault-token``. It goes into requests and nowhere else.
    """

    def __init__(self, address: VaultAddress) -> None:
        """Nothing is sent yet."""
        self.address = address
        self._client = self._connect(token=_own_token(), namespace=address.namespace)
        # What the server says of itself is outside of its namespaces, and for anybody.
        self._anybody = self._connect(token="")

    def _connect(self, *, token: str, namespace: str | None = None) -> hvac.Client:
        session = InsideTls()
        # Of a session that it is given, hvac takes this and not its own argument.
        session.verify = str(self.address.ca_file) if self.address.ca_file else True
        return hvac.Client(
            url=self.address.url,
            token=token,
            namespace=namespace,
            session=session,
            timeout=_TIMEOUT_SECONDS,
        )

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
        if "version" not in health:
            raise VaultError(_no_vault(self.address))
        version = str(health["version"])
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
            return _ABSENT
        if not _TOKEN.fullmatch(self._client.token):
            return _MALFORMED
        try:
            self._call("GET", "auth/token/lookup-self")
        except _ForbiddenError:
            return (
                f"{self.address.url} does not accept the token (wrong, expired or revoked); "
                "log in anew. A good one is told likewise if its policy lacks auth/token/"
                "lookup-self (deploy/vault-policy.hcl has it)"
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
        client = client or self._client
        if client.token and not _TOKEN.fullmatch(client.token):
            # Sent, it would come back in the text of an error.
            raise VaultError(_MALFORMED)
        try:
            answer = client.adapter.request(
                method.lower(), f"/v1/{path}", json=dict(body) if body else None
            )
        except exceptions.Forbidden:
            raise _ForbiddenError(
                f"{self.address.url} forbids reading {path}; the token's policy needs "
                f'`path "{path.partition("?")[0]}" '
                f'{{ capabilities = ["{_CAPABILITIES[method]}"] }}` '
                "(deploy/vault-policy-evidence.hcl)"
            ) from None
        except exceptions.InvalidPath:
            raise _NotFoundError(f"{self.address.url} has nothing at {path}") from None
        except exceptions.VaultDown:
            raise VaultError(
                f"{self.address.url} is sealed or not initialised; unseal it (`bao operator "
                "unseal`) and run this again"
            ) from None
        except exceptions.VaultError as error:
            meaning = explain(str(error))
            raise VaultError(
                f"{self.address.url}: reading {path} failed: {error}"
                + (f"; {meaning}" if meaning else "")
            ) from None
        except (requests.RequestException, OSError) as error:
            raise VaultError(_unreachable(self.address, error)) from None
        if isinstance(answer, requests.Response) and answer.status_code == HTTPStatus.NO_CONTENT:
            return {}
        if not isinstance(answer, dict):
            raise VaultError(_no_vault(self.address))
        return answer


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


class _ForbiddenError(VaultError):
    """403."""


class _NotFoundError(VaultError):
    """404."""


def _own_token() -> str:
    """Return the user's token; empty where there is none, or its file cannot be read."""
    try:
        return get_token_from_env() or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _no_vault(address: VaultAddress) -> str:
    return f"{address.url} does not answer as a Vault does; is this its address?"


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
