"""What ``add``, ``promote`` and ``retire`` have in common: a change of the stack file alone."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from mtls_pki.commands.command import add_dry_run, add_json, add_stack
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import say

if TYPE_CHECKING:
    from mtls_pki.settings.stack_file.reading import StackFile

EFFECT = "Edits the stack file, prints the diff, and applies nothing."


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every such command."""
    add_stack(parser)
    add_json(parser)
    add_dry_run(parser)


def write_change(old: StackFile, new: StackFile, options: argparse.Namespace) -> ExitStatus:
    """Write ``new`` in place of ``old``, unless it is only to be shown, and print the difference.

    Raises:
        CommandError: it cannot be written.
    """
    from mtls_pki.commands.output import print_diff, print_json
    from mtls_pki.rotation.report import REPORT_SCHEMA
    from mtls_pki.settings.stack_file import edits

    diff = edits.difference(old, new)
    if not options.dry_run:
        edits.write(new)
    if options.json:
        print_json(
            {
                "schema": REPORT_SCHEMA,
                "kind": "edit",
                "file": new.path.name,
                "diff": diff,
                "written": not options.dry_run,
            }
        )
        return ExitStatus.DONE
    print_diff(diff)
    sys.stdout.flush()
    if not diff:
        say(f"{new.path.name} says so already")
    elif options.dry_run:
        say("not written (--dry-run)")
    else:
        say(
            f"wrote {new.path.name}; nothing is applied: review and commit it, then "
            f"`pulumi preview --stack {new.stack}`"
        )
    return ExitStatus.DONE
