"""How results reach people and machines on standard output: colour only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from mtls_pki.errors import UsageError

# Wide enough that nothing is cut or folded in a file or a pipe.
_PIPE_WIDTH = 200
_DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}


def console() -> Console:
    """Return standard output; rich leaves colour out where it is no terminal."""
    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _PIPE_WIDTH,
        highlight=False,
        markup=False,
    )


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_diff(diff: str) -> None:
    """Print a unified diff, as it is where it goes to a file or a pipe."""
    if not sys.stdout.isatty():
        sys.stdout.write(diff)
        return
    for line in diff.splitlines():
        style = next((style for mark, style in _DIFF_STYLES.items() if line.startswith(mark)), "")
        console().print(Text(line, style=style), soft_wrap=True)


def ask(question: str) -> bool:
    """Ask a person for a yes; the answer to nothing is no.

    Raises:
        UsageError: nobody can be asked here.
    """
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here; look at what is shown, and give --yes")
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
