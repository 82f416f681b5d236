"""What ends a command with one message instead of a traceback."""

from __future__ import annotations


class BackupError(Exception):
    """A command cannot do its work; the message names place, value and remedy."""
