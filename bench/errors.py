"""The exception of the benchmarks."""

from __future__ import annotations


class BenchError(Exception):
    """A step that is measured failed; the message has its command and what it printed last."""
