"""Completion of the command line, as a script for a shell.

shtab writes it from the parser, once. argcomplete would start this program at every press of the
tab key, which takes a tenth of a second, and only where the program's virtual environment is
active.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from mtls_pki.commands.command import DIRECTORY, FILE

_COMPLETED = {FILE: shtab.FILE, DIRECTORY: shtab.DIRECTORY}


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script that completes the command line of ``parser`` in ``shell``."""
    for action in _actions(parser):
        # shtab looks for an attribute that argparse does not know.
        vars(action)["complete"] = _COMPLETED.get(str(action.metavar))
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and argument of a parser and of those below it that takes a value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
        elif action.metavar in _COMPLETED:
            yield action
