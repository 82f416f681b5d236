"""A connection to a Vault that reads, and says by name why it could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import hvac
from hvac import exceptions

from mtls_pki.backends.vault.diagnosis import with_meaning
from mtls_pki.backends.vault.transport import (
    VaultAddress,
    VaultError,
    connect,
    no_vault,
    send,
    token_fault,
)

# Method -> what a policy calls it.
_CAPABILITIES = {"GET": "read", "LIST": "list", "POST": "update"}


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
        if "version" not in health:
            raise VaultError(no_vault(self.address))
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
        fault = token_fault(self._client.token)
        if fault is not None:
            return fault
        try:
            self._call("GET", "auth/token/lookup-self")
        except _ForbiddenError:
            return (
                f"{self.address.url} does not accept the token (wrong, expired or revoked); "
                "log in again. A valid token gets the same answer if its policy lacks auth/token/"
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
        try:
            return send(client or self._client, self.address, method, path, body)
        except exceptions.Forbidden:
            raise _ForbiddenError(
                f"{self.address.url} forbids reading {path}; the token's policy needs "
                f'`path "{path.partition("?")[0]}" '
                f'{{ capabilities = ["{_CAPABILITIES[method]}"] }}` '
                "(deploy/vault-policy-evidence.hcl)"
            ) from None
        except exceptions.InvalidPath:
            raise _NotFoundError(f"{self.address.url} has nothing at {path}") from None
        except exceptions.VaultError as error:
            raise VaultError(
                f"{self.address.url}: reading {path} failed: {with_meaning(str(error))}"
            ) from None


class _ForbiddenError(VaultError):
    """403."""


class _NotFoundError(VaultError):
    """404."""
