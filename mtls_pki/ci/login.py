"""A job's login to the authorities of its stack, by the identity that its forge gives it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.backends.table import BACKENDS
from mtls_pki.ci.identity import described, identity_token
from mtls_pki.ci.runner import on_a_runner
from mtls_pki.registry import extensions
from mtls_pki.settings.names import generations_held_by
from mtls_pki.settings.stack_file.reading import open_stack_file


@dataclass(frozen=True)
class _Identity:
    """Of the running job."""

    environment: MutableMapping[str, str]

    def token(self, audience: str) -> str:
        return identity_token(self.environment, audience)

    def described(self, token: str) -> str:
        return described(token)


@contextmanager
def logged_in(stack: str, environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let a job reach the authorities of its stack inside of the block.

    In a person's shell nothing is done: there it is that person's own login that counts.

    Args:
        stack: name of the stack, whose file is in the working directory.
        environment: of this process and of what it starts.

    Raises:
        CommandError: an authority does not let the job in.
    """
    with ExitStack() as logins:
        if on_a_runner(environment):
            directory, identity = Path.cwd(), _Identity(environment)
            settings = open_stack_file(directory, stack, {}, extensions()).settings()
            for backend in BACKENDS.values():
                if not backend.takes_login:
                    continue
                if generations_held_by(settings, backend.settings.name):
                    logins.enter_context(
                        backend.login(stack, settings, directory, environment, identity)
                    )
                else:
                    print(f"stack {stack} has no {backend.takes_login}: no login", flush=True)
        yield
