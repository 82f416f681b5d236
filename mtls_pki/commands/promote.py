"""``mtls-pki promote``: the second of the three changes of a rotation."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import Command, open_stack
from mtls_pki.commands.stack_file_change import EFFECT, add_change_options, write_change
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    parser.add_argument("generation", nargs="?", metavar="GENERATION", help="default: the incoming")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.settings.stack_file import edits

    stack = open_stack(options)
    return write_change(stack, edits.promote(stack, options.generation), options)


COMMAND = Command(
    name="promote",
    summary="make the incoming anchor issuing, and the issuing one outgoing",
    description=f"{EFFECT} The second of the three changes.",
    examples=("promote", "promote g2 --dry-run"),
    options=_options,
    run=_run,
)
