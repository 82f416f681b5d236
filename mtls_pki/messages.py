"""What ``mtls-pki`` says on standard error; results go to standard output and nowhere else."""

from __future__ import annotations

import sys

PROGRAM = "mtls-pki"


def say(message: str) -> None:
    """Tell a person something that is no result."""
    print(message, file=sys.stderr)


def warn(message: str) -> None:
    """Tell a person what may be wrong although the command goes on."""
    say(f"{PROGRAM}: warning: {message}")


def complain(message: str) -> None:
    """Tell a person why the command ends."""
    say(f"{PROGRAM}: {message}")
