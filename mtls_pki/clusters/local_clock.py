"""This machine's clock, in one place, for the clocks of the clusters are compared with it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)
