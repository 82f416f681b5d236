"""Runs ``pulumi`` of PATH: the one place that does, so that every run is hardened alike."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.engine.local import local_environment
from mtls_pki.engine.process import run_engine
from mtls_pki.errors import CommandError

POLICY_PACK = "policy"
"""Directory of the policy pack, which every preview and every update runs."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run of ``pulumi`` ended with.

    Attributes:
        status: its exit status.
        output: its standard output; of some commands a state with **every key in clear**.
        said: its standard error, for messages; empty where that went to the log.
    """

    status: int
    output: str
    said: str = ""

    def __repr__(self) -> str:
        """Leave the output out: a representation gets into tracebacks and logs."""
        return f"Done({self.status})"


def run_pulumi(
    *arguments: str,
    directory: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
    to_log: bool = False,
    instead: str = "",
) -> Done:
    """Run ``pulumi ARGUMENTS`` without questions, colour or a terminal to read from.

    Args:
        arguments: of the command; no secret is ever one, because every user can read them.
        directory: where it runs; None for the working directory.
        given: its standard input, which ends after that.
        environment: added to that of this process.
        to_log: let standard error through at once, where a person or a job's log follows it.
        instead: what else may be done where there is no ``pulumi``, for the message.

    Raises:
        CommandError: there is no ``pulumi`` on PATH.
        UsageError: a variable is set with which the engine shows keys.
    """
    own = _own_environment(directory or Path())
    done = run_engine(
        [_program(own, instead), *arguments, "--non-interactive", "--color", "never"],
        directory=directory,
        environment={**own, **(environment or {})},
        temporary=Path(tempfile.gettempdir()),
        given=given,
        errors=None if to_log else subprocess.PIPE,
    )
    return Done(status=done.returncode, output=done.stdout, said=done.stderr or "")


def attach_pulumi(*arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Run ``pulumi ARGUMENTS`` where this process runs: on its terminal, if it has one.

    Returns:
        Its exit status.

    Raises:
        CommandError: there is no ``pulumi`` on PATH.
        UsageError: a variable is set with which the engine shows keys.
    """
    own = _own_environment(Path())
    return run_engine(
        [_program(own), *arguments],
        directory=None,
        environment={**own, **(environment or {})},
        temporary=Path(tempfile.gettempdir()),
        given=None,
        output=None,
        errors=None,
    ).returncode


def _own_environment(directory: Path) -> dict[str, str]:
    """This process's variables; without an installed engine also those of ``make up``'s."""
    inherited = dict(os.environ)
    if shutil.which("pulumi") is not None:
        return inherited
    return inherited | local_environment(directory, inherited)


def _program(environment: Mapping[str, str], instead: str = "") -> str:
    program = shutil.which("pulumi", path=environment.get("PATH"))
    if program is None:
        raise CommandError(
            f"there is no `pulumi` on PATH; install it, or let `make up` make one ready{instead}"
        )
    return program
