"""What ends a command with one message instead of a traceback."""

from __future__ import annotations


class CliError(Exception):
    """A command cannot do what was asked; the message names place, value and remedy."""
