"""Names of generations: which there may be, in what order they are, and which comes next."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import count

# Without '-', which joins generations in the names of keys and issuers: `g1-i1` is i1 below g1.
_NAME = re.compile(r"[a-z][a-z0-9]{0,14}")
# Earlier releases took more. What they recorded in a cluster must still be read.
_RECORDED = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
_DIGITS = "0123456789"


def generation_mistake(name: str) -> str | None:
    """Return what to write in place of ``name`` in a stack file, or None if it is right."""
    if _NAME.fullmatch(name):
        return None
    return "name a generation g1, g2, ... (a letter and at most 14 of a-z and 0-9)"


def may_be_recorded(name: str) -> bool:
    """Tell whether this or an earlier release can have recorded the generation ``name``."""
    return _RECORDED.fullmatch(name) is not None


def generation_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``g2`` before ``g10``."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def next_generation(taken: Collection[str]) -> str:
    """Return a name for the generation after ``taken``: ``g3`` after ``g2``, ``blue2`` after
    ``blue``.

    Where that would be no name of a generation, it is the first of ``g1``, ``g2``, ... that is
    free.
    """
    last = max(taken, key=generation_key, default="g0")
    stem = last.rstrip(_DIGITS)
    following = f"{stem}{int(last[len(stem) :] or 1) + 1}"
    if generation_mistake(following) is None and following not in taken:
        return following
    return next(name for number in count(1) if (name := f"g{number}") not in taken)
