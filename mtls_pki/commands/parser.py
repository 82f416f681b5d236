"""The one parser of ``mtls-pki``, made from the table of commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from mtls_pki.commands.command import Command
from mtls_pki.commands.table import COMMANDS
from mtls_pki.exit_status import exit_status_text
from mtls_pki.messages import PROGRAM
from mtls_pki.version import VERSION

SHELLS = ("bash", "fish", "zsh")
"""The shells for which there is completion."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``run`` of what it returns is the command."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Rotate the trust anchor of a stack by reviewed changes of its stack file. "
        "Run it in the project's directory. docs/rotation.md tells the whole story.",
        epilog=exit_status_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        help="print what completes this command in a shell, and end",
    )
    _add(parser, COMMANDS)
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what a command line asks for; ends the process where argparse answers it.

    Args:
        arguments: without the program's name; None for those of this process.

    Raises:
        SystemExit: help or version was asked for, or the command line is wrong.
    """
    options, unknown = make_parser().parse_known_args(arguments)
    if unknown and not options.passes_on:
        options.usage(f"unrecognized arguments: {' '.join(unknown)}")
    options.passed_on = tuple(unknown)
    return options


def _add(parser: argparse.ArgumentParser, commands: Iterable[Command]) -> None:
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        examples = "".join(f"  {PROGRAM} {example}\n" for example in command.examples)
        added = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=f"examples:\n{examples}\n{exit_status_text()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # An option to pass on is not taken for the beginning of one of its own.
            allow_abbrev=not command.passes_on,
        )
        if command.commands:
            _add(added, command.commands)
        else:
            command.options(added)
            added.set_defaults(run=command.run, passes_on=command.passes_on, usage=added.error)


class _PrintCompletion(argparse.Action):
    """Prints the completion script of a shell and ends, as ``--version`` prints and ends."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        # Here, because only this needs it.
        from mtls_pki.commands.completion import completion_script

        print(completion_script(parser, str(values)))
        parser.exit()
