"""A job's login to the Vault of its stack: a token for one command, which ends with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from mtls_pki.backends.vault.login import ClientToken, LoginRefusedError, log_in, log_out
from mtls_pki.backends.vault.transport import VaultAddress, VaultError, connect, vault_address
from mtls_pki.ci.errors import CiError
from mtls_pki.ci.identity import described, identity_token
from mtls_pki.ci.runner import on_a_runner
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.names import vault_generations, vault_settings
from mtls_pki.settings.stack_file.reading import open_stack_file

ROLE = "VAULT_ROLE"
"""Names the role to log in as; another one for previews than for deploys."""

AUTH_PATH = "VAULT_AUTH_PATH"
"""Names the auth method where it is not at ``jwt``."""

_TOKEN = "VAULT_TOKEN"  # noqa: S105 the variable's name


@contextmanager
def logged_in(stack: str, environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let ``environment`` have a ``VAULT_TOKEN`` inside of the block, where the stack needs one.

    The token is in no file and in no other step's environment, and it is revoked at the end of the
    block. In a person's shell nothing is done: there it is that person's own login that counts. So
    does another login of the job, where no role is named.

    Args:
        stack: name of the stack, whose file is in the working directory.
        environment: of this process and of what it starts.

    Raises:
        CiError: there is no role or no identity to log in with, or the Vault does not let it in.
    """
    address = _address(stack) if on_a_runner(environment) else None
    role = environment.get(ROLE)
    if address is None or (not role and connect(address).token):
        yield
        return
    token = _log_in(stack, address, role, environment)
    before = environment.get(_TOKEN)
    environment[_TOKEN] = token.text
    try:
        yield
    finally:
        del environment[_TOKEN]
        if before is not None:
            environment[_TOKEN] = before
        _log_out(address, token)


def _address(stack: str) -> VaultAddress | None:
    """Return where the stack's Vault is; None where it has none, and then say so."""
    directory = Path.cwd()
    settings = open_stack_file(directory, stack, {}).settings()
    if not vault_generations(settings):
        print(f"stack {stack} has no Vault: no login", flush=True)
        return None
    return vault_address(vault_settings(settings), directory)


def _log_in(
    stack: str, address: VaultAddress, role: str | None, environment: MutableMapping[str, str]
) -> ClientToken:
    if not role:
        raise CiError(
            f"stack {stack} has a Vault ({address.url}), and ${ROLE} names no role to log in as; "
            "set it as a variable of the job's environment (docs/vault.md)"
        )
    path = environment.get(AUTH_PATH) or "jwt"
    identity = identity_token(environment, address.url)
    try:
        token = log_in(address, path=path, role=role, identity=identity)
    except LoginRefusedError as error:
        raise CiError(f"{error} (this job's identity says: {described(identity)})") from None
    except VaultError as error:
        raise CiError(str(error)) from None
    # At once: what the command starts writes to the same log.
    print(
        f"logged in to {address.url} as {role}, for {format_duration(token.lifetime)} at most",
        flush=True,
    )
    return token


def _log_out(address: VaultAddress, token: ClientToken) -> None:
    try:
        log_out(address, token)
    except VaultError as error:
        # What the command came to stands all the same.
        print(
            f"ci: warning: {error}. The token ends by itself, {format_duration(token.lifetime)} "
            "after its login",
            file=sys.stderr,
        )
