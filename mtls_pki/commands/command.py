"""What one sub-command of ``mtls-pki`` is, and the options that several of them have."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.durations import DurationError, parse_duration

if TYPE_CHECKING:
    from mtls_pki.settings.stack_file.reading import StackFile

FILE = "FILE"
"""Stands in a usage for the name of a file; completion offers files there."""

DIRECTORY = "DIR"
"""Stands in a usage for the name of a directory; completion offers directories there."""


def no_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the options of a command that has none of its own."""


def no_run(options: argparse.Namespace) -> ExitStatus:
    """Run nothing: a command of commands is never run itself, because argparse requires one."""
    raise NotImplementedError(f"one of several commands must be named: {options}")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One sub-command.

    Attributes:
        name: as it is typed.
        summary: one line in the list of commands.
        description: what it does, in lines that a terminal shows as they are.
        examples: command lines without the program's name.
        options: adds its options to its parser.
        run: does it. Raises CommandError where it cannot be done.
        commands: its own sub-commands, of which one must be named.
        passes_on: options that are not its own go to another program; ``run`` finds them, in their
            order, as ``passed_on``.
    """

    name: str
    summary: str
    description: str
    examples: tuple[str, ...]
    options: Callable[[argparse.ArgumentParser], None] = no_options
    run: Callable[[argparse.Namespace], ExitStatus] = no_run
    commands: tuple[Command, ...] = ()
    passes_on: bool = False


def add_stack(parser: argparse.ArgumentParser) -> None:
    """Add ``--stack``, which ``open_stack`` reads."""
    parser.add_argument(
        "--stack",
        metavar="NAME",
        help="default: $PULUMI_STACK, else the only Pulumi.NAME.yaml, else dev",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run``."""
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only show")


def duration(text: str) -> timedelta:
    """Return the duration that an option's value spells, for ``type`` of an argument."""
    try:
        return parse_duration(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def open_stack(options: argparse.Namespace) -> StackFile:
    """Return the file of the stack that ``--stack`` names, in the working directory.

    Raises:
        CommandError: there is no project or no such file, or it cannot be read.
    """
    from mtls_pki.registry import extensions
    from mtls_pki.settings.stack_file.reading import open_stack_file

    return open_stack_file(Path.cwd(), options.stack, os.environ, extensions())
