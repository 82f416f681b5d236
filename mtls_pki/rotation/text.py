"""Text of other people made fit to be shown: no private key, no control character, no endless line.

A preview carries what clusters, providers and configuration say, and a page is read by a browser or
a terminal. Whatever reaches a page went through here first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from mtls_pki.pki.key_text import without_private_keys
from mtls_pki.rotation.report import printable

REMOVED = "[private key removed]"
"""Stands where a private key stood."""

LONGEST = 300
"""Characters of one shown text; what is longer is cut, and says so."""

NAMED = 10
"""How many names a line lists before it only counts; as a refusal does with laggards."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")


def redacted(text: str) -> str:
    """Return ``text`` without private keys, also where they are in base64 or cut off.

    The engine blinds what it knows to be secret; this is for a key in a place that nobody marked.
    """
    return without_private_keys(text, REMOVED)


def one_line(text: str) -> str:
    """Return ``text`` on one line of at most ``LONGEST`` characters, as it may be shown."""
    shown = " ".join(printable(without_colour(text)).split())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def named(names: Iterable[str]) -> str:
    """Return the first of ``names``, and how many more there are."""
    listed = list(names)
    shown = ", ".join(one_line(name) for name in listed[:NAMED])
    return f"{shown} and {len(listed) - NAMED} more" if len(listed) > NAMED else shown


def without_colour(text: str) -> str:
    """Return ``text`` without the sequences by which a terminal is told to do things."""
    return _ESCAPE_SEQUENCE.sub("", text)


def fitted(lines: Sequence[str], room: int, more: Callable[[int], str]) -> list[str]:
    """Return the first of ``lines`` that fit into ``room`` characters, newlines included.

    Where not all do, ``more`` makes the last line from how many are left out.
    """
    if sum(len(line) + 1 for line in lines) <= room:
        return list(lines)
    taken: list[str] = []
    left = room - len(more(len(lines))) - 1
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            break
        taken.append(line)
    return [*taken, more(len(lines) - len(taken))]
