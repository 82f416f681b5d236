"""A stack's state goes out of the engine and into it through pipes, so none is a file in clear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtls_pki.engine.cli import run_pulumi
from mtls_pki.errors import CommandError


def export_state(stack: str) -> dict[str, Any]:
    """Return the state of a stack, **every key in clear**.

    Raises:
        CommandError: there is no such stack, or it cannot be read or decrypted.
    """
    out = _pulumi("stack", "export", "--stack", stack, "--show-secrets")
    try:
        exported: dict[str, Any] = json.loads(out)
    except ValueError:
        raise CommandError(f"`pulumi stack export --stack {stack}` printed no JSON") from None
    return exported


def import_state(stack: str, exported: Mapping[str, Any]) -> None:
    """Make ``exported`` the state of a stack; its secrets provider encrypts it.

    Raises:
        CommandError: it cannot be written, or pulumi finds fault with it.
    """
    _pulumi("stack", "import", "--stack", stack, given=json.dumps(exported))


def _pulumi(*arguments: str, given: str = "") -> str:
    done = run_pulumi(*arguments, given=given)
    if done.status != 0:
        # Of standard error alone: what goes to standard output may be a state.
        said = " ".join(done.said.split()) or "it said nothing"
        raise CommandError(
            f"`pulumi {' '.join(arguments)}` failed; it needs what the stack's backend and its "
            f"secrets provider ask for (docs/state.md). It said: {said}"
        )
    return done.output
