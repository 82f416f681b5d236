"""How long builds take on this machine, learnt from those that it has made.

The table has what they take on two idle cores. A slow machine or a busy one takes three times as
long, and whoever waits wants to know that.
"""

from __future__ import annotations

import os
from pathlib import Path

from lab.toolchain_table import Tool

_CORES_OF_TABLE = 2
# Of the newest build in what is told next.
_WEIGHT = 0.5
_NO_WHOLE_BUILD = 0.1


def pace(cache: Path) -> float:
    """Return how many times as long as the table says a build takes here.

    Before the first build it is made of the cores and of what they are busy with.
    """
    try:
        known = float(_file(cache).read_text(encoding="ascii"))
    except (OSError, ValueError):
        known = 0.0
    return known if known > 0 else _CORES_OF_TABLE / _idle_cores()


def learn(cache: Path, tool: Tool, seconds: float) -> None:
    """Remember that the build of ``tool`` took so long, unless it was no build of everything.

    Another process may have made it meanwhile, or Go may have kept most of it.
    """
    newest = seconds / tool.seconds
    if newest < _NO_WHOLE_BUILD:
        return
    before = pace(cache)
    _file(cache).write_text(f"{before + _WEIGHT * (newest - before):.3f}\n", encoding="ascii")


def told(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``11 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _file(cache: Path) -> Path:
    return cache / "pace"


def _idle_cores() -> float:
    cores = os.cpu_count() or 1
    try:
        busy = os.getloadavg()[0]
    except OSError:
        busy = 0.0
    # Whoever comes later gets its share of a machine that is busy already.
    return max(cores - busy, cores / (1 + busy))
