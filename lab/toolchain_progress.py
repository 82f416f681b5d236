"""Says what is being built: a live line on a terminal, plain lines with a heartbeat elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# CI systems take a job that is silent for some minutes for dead.
HEARTBEAT_SECONDS = 60.0

Update = Callable[[str], None]


class Progress:
    """Writes about each tool to a stream, with the time elapsed.

    Args:
        stream: standard error unless given.
        heartbeat: seconds between two lines about the same tool, where the stream is no terminal.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._heartbeat = heartbeat
        self._clock = clock

    @contextmanager
    def step(self, label: str, hint: str) -> Iterator[Update]:
        """One tool: ``label`` names it, ``hint`` says how long it may take.

        Yields what to call with a note on what is going on; it is cheap enough for several times a
        second. The last line says what became of the step; an exception goes on to the caller.
        """
        begun = self._clock()

        def elapsed() -> str:
            return f"{self._clock() - begun:.0f} s"

        display = self._live if self._stream.isatty() else self._plain
        outcome = "failed after"
        try:
            with display(f"{label}  building ... ({hint})") as show:
                yield lambda note: show(f"{label}  building ... {elapsed()}  {note}".rstrip())
            outcome = "built in"
        except KeyboardInterrupt:
            outcome = "interrupted after"
            raise
        finally:
            self._print(f"{label}  {outcome} {elapsed()}")

    @contextmanager
    def _live(self, opening: str) -> Iterator[Update]:
        """One line that is rewritten in place and gone at the end."""
        # Imported here: where everything is built, nothing is shown, and the lab must start fast.
        from rich.console import Console
        from rich.text import Text

        with Console(file=self._stream).status(Text(opening)) as status:
            yield lambda text: status.update(Text(text))

    @contextmanager
    def _plain(self, opening: str) -> Iterator[Update]:
        """A line now, and one more whenever nothing was written for a heartbeat."""
        spoken = self._clock()
        self._print(opening)

        def show(text: str) -> None:
            nonlocal spoken
            if self._clock() - spoken >= self._heartbeat:
                spoken = self._clock()
                self._print(text)

        yield show

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
