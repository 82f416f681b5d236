"""The commands that this one runs: ``pulumi`` of PATH, and ``mtls-pki``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.ci.errors import CiError

POLICY_PACK = "policy"
"""Directory of the policy pack, which every preview and every update runs."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command ended with: exit status and standard output."""

    status: int
    output: str


def pulumi(*arguments: str, extra_environment: Mapping[str, str] | None = None) -> Done:
    """Run ``pulumi`` without questions; what it says on standard error goes to the job's log.

    Raises:
        CiError: there is no ``pulumi`` on PATH.
    """
    return _run(("pulumi", *arguments, "--non-interactive", "--color", "never"), extra_environment)


def rotation(*arguments: str) -> Done:
    """Run ``mtls-pki``."""
    return _run((sys.executable, "-m", "mtls_pki", *arguments))


def write(path: Path, text: str) -> Path:
    """Write a file for the next command, making its directory, and return the path.

    Raises:
        CiError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CiError(
            f"{path} cannot be written ({error.strerror}); name another --output"
        ) from None
    return path


def _run(command: Sequence[str], extra_environment: Mapping[str, str] | None = None) -> Done:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(extra_environment or {})},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise CiError(f"there is no {command[0]} on PATH; install it") from None
    return Done(status=done.returncode, output=done.stdout)
