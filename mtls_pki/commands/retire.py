"""``mtls-pki retire``: the third of the three changes of a rotation."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import Command, open_stack
from mtls_pki.commands.stack_file_change import EFFECT, add_change_options, write_change
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    parser.add_argument("generation", nargs="?", metavar="GENERATION", help="default: the outgoing")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.settings.stack_file import edits

    stack = open_stack(options)
    return write_change(stack, edits.retire(stack, options.generation), options)


COMMAND = Command(
    name="retire",
    summary="remove the outgoing anchor",
    description=f"{EFFECT} The third of the three changes. Naming an incoming\n"
    "anchor abandons its rotation; naming a compromised one drops its entry.",
    examples=("retire", "retire g1 --dry-run"),
    options=_options,
    run=_run,
)
