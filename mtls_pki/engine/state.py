"""``pulumi`` of PATH: states go in and out through pipes, so none is ever a file in clear."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from mtls_pki.backup.errors import BackupError


def export(stack: str) -> dict[str, Any]:
    """Return the state of a stack, **every key in clear**.

    Raises:
        BackupError: there is no such stack, or it cannot be read or decrypted.
    """
    out = _pulumi("stack", "export", "--stack", stack, "--show-secrets")
    try:
        exported: dict[str, Any] = json.loads(out)
    except ValueError:
        raise BackupError(f"`pulumi stack export --stack {stack}` printed no JSON") from None
    return exported


def load(stack: str, exported: Mapping[str, Any]) -> None:
    """Make ``exported`` the state of a stack; its secrets provider encrypts it.

    Raises:
        BackupError: it cannot be written, or pulumi finds fault with it.
    """
    _pulumi("stack", "import", "--stack", stack, given=json.dumps(exported))


def _pulumi(*arguments: str, given: str = "") -> str:
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BackupError("there is no pulumi on PATH; install it") from None
    if done.returncode != 0:
        # Of standard error alone: what goes to standard output may be a state.
        said = " ".join(done.stderr.split()) or "it said nothing"
        raise BackupError(
            f"`pulumi {' '.join(arguments)}` failed; it needs what the stack's backend and its "
            f"secrets provider ask for (docs/state.md). It said: {said}"
        )
    return done.stdout
