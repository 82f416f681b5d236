"""What ends a command with one message instead of a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it was asked to do; the message names place, value and remedy.

    Its subclasses carry more than their message: which cluster, which mistakes.
    """


class UsageError(CommandError):
    """A command was given what it must not be given, on its command line or in a variable."""
