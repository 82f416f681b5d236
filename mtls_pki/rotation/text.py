"""Text of other people made fit to be shown: no private key, no control character, no endless line.

Clusters, providers and configuration are quoted in messages and pages, and a browser or a terminal
reads those. The parts of a page apply these rules when they are built (``mtls_pki.pages.document``)
and messages through ``printable``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from mtls_pki.pki.key_text import without_private_keys

REMOVED = "[private key removed]"
"""Stands where a private key stood."""

LONGEST = 300
"""Characters of one shown text; what is longer is cut, and says so."""

NAMED = 10
"""How many names a line lists before it only counts; as a refusal does with laggards."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
# Default_Ignorable_Code_Point of Unicode, as far as it is not of category Cf: shown as nothing.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


def instant(moment: datetime) -> str:
    """Return ``moment`` (aware UTC) as the configuration writes it: ``2026-11-01T00:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def redacted(text: str) -> str:
    """Return ``text`` without private keys, also where they are in base64 or cut off.

    The engine blinds what it knows to be secret; this is for a key in a place that nobody marked.
    """
    return without_private_keys(text, REMOVED)


def printable(text: str) -> str:
    """Return ``text`` as one line that a terminal and a browser show as it is.

    Private keys are left out, and so are escape sequences and all that is invisible or turns the
    direction of writing. White space and control characters become one space.
    """
    # Twice: what is no key in several lines may be one in a single line.
    return redacted(" ".join(redacted(_visible(text)).split()))


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return the ``printable`` text, cut where it is longer than ``longest`` characters."""
    return _cut(printable(text), longest)


def part_of_line(text: str) -> str:
    """Return ``one_line`` of a text that others stand beside: a space at an end of it stays."""
    shown = one_line(text)
    if not shown:
        return " " if text else ""
    before, after = (" " if _visible(char).isspace() else "" for char in (text[0], text[-1]))
    return f"{before}{shown}{after}"


def row(text: str, longest: int = 2 * LONGEST) -> str:
    """Return ``one_line`` of a text whose indentation matters, as of a line of a diff."""
    shown = redacted(redacted(_visible(text)).replace("\n", " "))
    return _cut(shown.rstrip(), longest)


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first of ``names`` as parts of a line, and how many more there are."""
    listed = list(names)
    shown = [f", {name}" if place else name for place, name in enumerate(listed[:NAMED])]
    return (*shown, f" and {len(listed) - NAMED} more") if len(listed) > NAMED else (*shown,)


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


def _visible(text: str) -> str:
    """Return ``text`` with a space for each control character, and nothing for the invisible.

    Newlines stay: private keys are told by their lines.
    """
    plain = _IGNORABLE.sub("", _ESCAPE_SEQUENCE.sub("", text))
    if plain.isprintable():
        return plain
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else ""
        if unicodedata.category(char) == "Cf"
        else " "
        for char in plain
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
