"""Text of other people made fit to be shown: no private key, no control character, no endless line.

A preview carries what clusters, providers and configuration say, and a page is read by a browser or
a terminal. Whatever reaches a page went through here first.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence

from rotation.report import printable

REMOVED = "[private key removed]"
"""Stands where a private key stood."""

LONGEST = 300
"""Characters of one shown text; what is longer is cut, and says so."""

NAMED = 10
"""How many names a line lists before it only counts; as a refusal does with laggards."""

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?"
    r"(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\Z)",
    re.DOTALL,
)
# As Secrets hold it: base64 of text that begins with five hyphens.
_ENCODED = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]*={0,2}")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")


def redacted(text: str) -> str:
    """Return ``text`` without PEM private keys, also where they are in base64 or cut off.

    The engine blinds what it knows to be secret; this is for a key in a place that nobody marked.
    """
    return _ENCODED.sub(_without_encoded_key, _PRIVATE_KEY.sub(REMOVED, text))


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


def _without_encoded_key(found: re.Match[str]) -> str:
    text = found[0].rstrip("=")
    # Cut-off base64 is padded, so that its beginning can be read.
    text = text[: len(text) - (len(text) % 4 == 1)]
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return REMOVED
    return REMOVED if b"PRIVATE KEY" in decoded else found[0]
