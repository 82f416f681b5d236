"""``mtls-pki env``: lets a shell use the engine that ``make up`` made ready."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import Command
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    del parser


def _run(options: argparse.Namespace) -> ExitStatus:
    import os
    import shlex
    from pathlib import Path

    from mtls_pki.engine.local import RECORD, local_environment
    from mtls_pki.errors import CommandError

    del options
    # What the shell has set already is replaced: its own stacks are elsewhere.
    found = local_environment(Path(), {"PATH": os.environ.get("PATH", os.defpath)})
    if not found:
        raise CommandError(
            f"there is no {RECORD} here; `make up` writes it. With an engine and stacks of your "
            "own this is not needed"
        )
    for name, value in sorted(found.items()):
        print(f"export {name}={shlex.quote(value)}")
    return ExitStatus.DONE


COMMAND = Command(
    name="env",
    summary="print what makes `pulumi` in this shell that of `make up`",
    description="Print the variables with which `pulumi` is the engine that `make up` uses, and "
    "has the stacks\nthat it made, for a shell to evaluate:\n"
    '  eval "$(mtls-pki env)"\n'
    "Other commands of mtls-pki find this engine by themselves where there is no other.",
    examples=("env",),
    options=_options,
    run=_run,
)
