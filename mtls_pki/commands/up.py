"""``mtls-pki up``: `pulumi up`, with checkpoints only where something could be lost."""

from __future__ import annotations

import argparse
import os

from mtls_pki.commands.command import Command
from mtls_pki.errors import UsageError
from mtls_pki.exit_status import ExitStatus

_SETTING = "MTLS_PKI_CHECKPOINTS"
_CHOICES = ("auto", "all")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before the update")
    parser.add_argument(
        "-f", "--skip-preview", action="store_true", help="no preview, and every checkpoint"
    )
    parser.add_argument(
        "--checkpoints",
        choices=_CHOICES,
        help=f"all: write the state at every step (default: ${_SETTING}, else auto)",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.output import ask
    from mtls_pki.engine.update import Update, update
    from mtls_pki.messages import say

    wanted = options.checkpoints or os.environ.get(_SETTING) or "auto"
    if wanted not in _CHOICES:
        raise UsageError(f"{_SETTING}={wanted}: write one of: {', '.join(_CHOICES)}")
    status = update(
        Update(
            options=options.passed_on,
            confirm=None if options.yes else lambda: ask("Apply these changes?"),
            skip_preview=options.skip_preview,
            every_checkpoint=wanted == "all",
        ),
        say=say,
    )
    return ExitStatus.DONE if status == 0 else ExitStatus.ERROR


COMMAND = Command(
    name="up",
    summary="`pulumi up`, with checkpoints only where something could be lost",
    description="Preview, ask, and update, as `pulumi up` does; every other option is passed on "
    "to it.\nWhere all that changes can be applied again over itself, the engine writes its state "
    "once,\nat the end, which it does not do by itself: with a thousand Certificates that is ten "
    "times\nfaster. Keys, CA Secrets, what is protected, and what is in Vault or AWS are never "
    "made or\nremoved that way (docs/performance.md).",
    examples=("up", "up --stack prod --yes", "up --checkpoints all --target '**/orders'"),
    options=_options,
    run=_run,
    passes_on=True,
)
