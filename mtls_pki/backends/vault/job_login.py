"""A job's login to the Vault of its stack: a token for one command, revoked when that ends."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from mtls_pki.backends.backend import JobIdentity
from mtls_pki.backends.vault.login import ClientToken, LoginRefusedError, log_in, log_out
from mtls_pki.backends.vault.names import vault_settings
from mtls_pki.backends.vault.transport import VaultAddress, VaultError, connect, vault_address
from mtls_pki.errors import CommandError
from mtls_pki.messages import warn
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.model import Settings

ROLE = "VAULT_ROLE"
"""Names the role to log in as; another one for previews than for deploys."""

AUTH_PATH = "VAULT_AUTH_PATH"
"""Names the auth method where it is not at ``jwt``."""

_TOKEN = "VAULT_TOKEN"  # noqa: S105 the variable's name


@contextmanager
def logged_in(
    stack: str,
    settings: Settings,
    directory: Path,
    environment: MutableMapping[str, str],
    identity: JobIdentity,
) -> Iterator[None]:
    """Put a ``VAULT_TOKEN`` into ``environment`` inside of the block.

    The token is in no file and in no other step's environment, and it is revoked at the end of the
    block. Where no role is named, another login of the job is used.

    Raises:
        CommandError: there is no role or no identity to log in with, or the Vault refuses the
            login.
    """
    address = vault_address(vault_settings(settings), directory)
    role = environment.get(ROLE)
    if not role and connect(address).token:
        yield
        return
    token = _log_in(stack, address, role, environment, identity)
    before = environment.get(_TOKEN)
    environment[_TOKEN] = token.text
    try:
        yield
    finally:
        del environment[_TOKEN]
        if before is not None:
            environment[_TOKEN] = before
        _log_out(address, token)


def _log_in(
    stack: str,
    address: VaultAddress,
    role: str | None,
    environment: MutableMapping[str, str],
    identity: JobIdentity,
) -> ClientToken:
    if not role:
        raise CommandError(
            f"stack {stack} has a Vault ({address.url}), and ${ROLE} names no role to log in as; "
            "set it as a variable of the job's environment (docs/vault.md)"
        )
    path = environment.get(AUTH_PATH) or "jwt"
    signed = identity.token(address.url)
    try:
        token = log_in(address, path=path, role=role, identity=signed)
    except LoginRefusedError as error:
        said = identity.described(signed)
        raise CommandError(f"{error} (this job's identity says: {said})") from None
    except VaultError as error:
        raise CommandError(str(error)) from None
    # Flushed at once, because the processes of the command write to the same log.
    print(
        f"logged in to {address.url} as {role}, for {format_duration(token.lifetime)} at most",
        flush=True,
    )
    return token


def _log_out(address: VaultAddress, token: ClientToken) -> None:
    try:
        log_out(address, token)
    except VaultError as error:
        # The command's own result still stands.
        warn(
            f"{error}. The token ends by itself, {format_duration(token.lifetime)} after its login"
        )
