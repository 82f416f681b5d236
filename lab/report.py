"""What ``python -m lab status`` prints."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.control_plane import Health, ProcessStatus

_COLUMNS = ("cluster", "process", "pid", "state", "port", "since", "log")
_COLOURS = {
    Health.READY: "green",
    Health.UNREADY: "yellow",
    Health.SEALED: "yellow",
    Health.DEAD: "red",
    Health.STOPPED: "dim",
}


def healthy(statuses: Sequence[ProcessStatus]) -> bool:
    """Whether there is at least one process and all are ready."""
    return bool(statuses) and all(status.health is Health.READY for status in statuses)


def to_json(statuses: Sequence[ProcessStatus]) -> str:
    """A JSON array, one object for each process; ``since`` in seconds since the epoch."""
    rows = [
        {
            "cluster": status.cluster,
            "process": status.process,
            "pid": status.pid,
            "state": str(status.health),
            "port": status.port,
            "since": status.since,
            "log": str(status.log),
            "usage": list(status.usage),
        }
        for status in statuses
    ]
    return json.dumps(rows, indent=2)


def print_table(statuses: Sequence[ProcessStatus]) -> None:
    """A table on a terminal; elsewhere one line of tab-separated cells for each process.

    Below it are shell lines with which a client finds each server next to the control plane.
    """
    _print_processes(statuses)
    for status in statuses:
        if status.usage:
            print(f"\n# {status.process} of {status.cluster}")
            print("\n".join(status.usage))


def _print_processes(statuses: Sequence[ProcessStatus]) -> None:
    if not sys.stdout.isatty():
        for row in (_COLUMNS, *map(_cells, statuses)):
            print("\t".join(row))
        return
    table = Table()
    for column in _COLUMNS:
        # The log is last and longest, and of use only whole.
        table.add_column(column, no_wrap=column != "log", overflow="fold")
    for status in statuses:
        table.add_row(*_cells(status), style=_COLOURS[status.health])
    Console().print(table)


def _cells(status: ProcessStatus) -> tuple[str, ...]:
    return (
        status.cluster,
        status.process,
        str(status.pid or "-"),
        str(status.health),
        str(status.port or "-"),
        _time(status.since),
        _short(status.log),
    )


def _time(since: float | None) -> str:
    """In local time; the date only where it is not today's."""
    if since is None:
        return "-"
    moment = dt.datetime.fromtimestamp(since).astimezone()
    today = moment.date() == dt.datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M}"


def _short(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)
