"""Waiting for what cannot be told of when it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE_SECONDS = 0.2


def wait_for(find: Callable[[], T | None], *, seconds: float) -> T | None:
    """Ask until ``find`` returns something true, at most so long; None: it did not."""
    end = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > end:
            return None
        time.sleep(_PAUSE_SECONDS)
    return found
