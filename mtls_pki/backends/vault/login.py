"""A pipeline's login by the identity that its forge gives a job, and the end of that login.

The only requests of this program that write to a Vault: they make a token and end it.

Source: the documentation of OpenBao 2.7 and of Vault 1.18 (auth method ``jwt``, ``auth/token``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hvac import exceptions

from mtls_pki.backends.vault.diagnosis import LOGIN_CAUSES, explain
from mtls_pki.backends.vault.transport import VaultAddress, VaultError, connect, no_vault, send


class LoginRefusedError(VaultError):
    """The Vault answered, and does not let this identity in."""


@dataclass(frozen=True, kw_only=True)
class ClientToken:
    """A token of the Vault.

    Attributes:
        text: the token itself, which is never shown.
        lifetime: until it ends by itself.
    """

    text: str = field(repr=False)
    lifetime: timedelta


def log_in(address: VaultAddress, *, path: str, role: str, identity: str) -> ClientToken:
    """Exchange an identity for a token.

    Args:
        address: of the Vault.
        path: of its auth method of type ``jwt``, such as ``jwt``.
        role: of that auth method.
        identity: the forge's JWT (RFC 7519) on this job.

    Raises:
        LoginRefusedError: the Vault does not take it.
        VaultError: the Vault is sealed or cannot be reached, or something else answers.
    """
    place = f"{address.url}: login at auth/{path} as role {role!r}"
    body = {"role": role, "jwt": identity}
    answer = _write(address, f"auth/{path}/login", body, token="", place=place)
    made = answer.get("auth")
    if not isinstance(made, dict):
        raise VaultError(no_vault(address))
    return ClientToken(
        text=made["client_token"], lifetime=timedelta(seconds=made["lease_duration"])
    )


def log_out(address: VaultAddress, token: ClientToken) -> None:
    """End a token before its time.

    Raises:
        VaultError: it lives on; with the reason.
    """
    try:
        _write(address, "auth/token/revoke-self", {}, token=token.text, place=address.url)
    except LoginRefusedError:
        raise VaultError(
            f"{address.url} does not let the token end itself; its policy needs "
            '`path "auth/token/revoke-self" { capabilities = ["update"] }`'
        ) from None


def _write(
    address: VaultAddress, path: str, body: Mapping[str, str], *, token: str, place: str
) -> dict[str, Any]:
    try:
        return send(connect(address, token=token), address, "POST", path, body)
    except exceptions.VaultError as error:
        said = "; ".join(error.errors or (str(error),))
        meaning = explain(said, LOGIN_CAUSES)
        raise LoginRefusedError(f"{place}: {said}" + (f"; {meaning}" if meaning else "")) from None
