"""Shows how far a run is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with a line on each step."""


def on_standard_error() -> Progress:
    """Return a progress that writes lines with the time since now."""
    started = time.monotonic()

    def show(text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        print(f"[{minutes:3}:{seconds:02}] {text}", file=sys.stderr, flush=True)

    return show
