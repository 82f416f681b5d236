"""Durations in the spelling that cert-manager and Go use (``time.ParseDuration``)."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_UNIT_SECONDS = {
    "ns": Fraction(1, 1_000_000_000),
    "us": Fraction(1, 1_000_000),
    "µs": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1_000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_TERM = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ns|us|µs|ms|s|m|h)")
_HOURS_OF_FOREIGN_UNIT = {"d": 24, "w": 7 * 24, "y": 365 * 24}
_FOREIGN = re.compile(r"(?P<number>[0-9]+)(?P<unit>[dwy])")
# Go holds a Duration as 64 bits of nanoseconds; time.ParseDuration refuses more (about 292 years).
_LONGEST_SECONDS = (2**63 - 1) // 10**9


class DurationError(ValueError):
    """The text is not a Go duration; the message says what to write instead."""


def parse_duration(text: str) -> timedelta:
    """Return the positive duration that ``text`` spells, such as ``720h`` or ``8h30m``.

    Days do not exist in Go's ``time.ParseDuration``, so ``30d`` is refused with the hours to write.

    Raises:
        DurationError: the text is not a Go duration, is not positive, has parts of a second, or is
            longer than Go's longest.
    """
    foreign = _FOREIGN.fullmatch(text)
    if foreign:
        hours = int(foreign["number"]) * _HOURS_OF_FOREIGN_UNIT[foreign["unit"]]
        raise DurationError(f"write {hours}h")
    position, seconds = 0, Fraction(0)
    while match := _TERM.match(text, position):
        seconds += Fraction(match["number"]) * _UNIT_SECONDS[match["unit"]]
        position = match.end()
    if position != len(text) or not text:
        raise DurationError("write a Go duration such as 720h, 8h30m or 90s")
    if seconds <= 0:
        raise DurationError("write a duration greater than zero")
    if seconds.denominator != 1:
        raise DurationError("write whole seconds")
    if seconds > _LONGEST_SECONDS:
        raise DurationError(f"write at most {_LONGEST_SECONDS // 3600}h")
    return timedelta(seconds=int(seconds))


def format_duration(duration: timedelta) -> str:
    """Return ``duration`` (whole seconds) as Go's ``Duration.String`` prints it: ``24h0m0s``.

    cert-manager stores durations in this form, so writing it keeps live objects equal to inputs.
    """
    total = int(duration.total_seconds())
    hours, rest = divmod(total, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    if minutes:
        return f"{minutes}m{seconds}s"
    return f"{seconds}s"


def humanise_duration(duration: timedelta) -> str:
    """Return ``duration`` for a person, two units at most: ``3 d 4 h``, ``12 min``, ``45 s``."""
    total = max(0, int(duration.total_seconds()))
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, total = divmod(total, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
