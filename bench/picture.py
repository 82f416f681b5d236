"""The figures as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.authorities import AUTHORITIES
from bench.machine import Machine
from bench.measurement import Record
from bench.reading import CHECK, STATUS
from bench.stack import (
    APPLY,
    BARE_PREVIEW,
    EMPTY_PREVIEW,
    PREVIEW,
    ROTATION,
    ROTATION_BOUND,
    UP,
    UPDATE,
)

_INCHES_A_PANEL = 4.2


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One diagram: seconds by size, a line for each (subject, label)."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]


PANELS = (
    Panel(
        title="Until all are Ready",
        unit="certificates",
        lines=((UPDATE, "mtls-pki up"), (APPLY, "server-side apply"), (UP, "pulumi up")),
    ),
    Panel(
        title="Preview without a change",
        unit="certificates",
        lines=(
            (PREVIEW, "this program"),
            (BARE_PREVIEW, "a bare program"),
            (EMPTY_PREVIEW, "an empty program"),
        ),
    ),
    Panel(
        title="Rotation",
        unit="certificates",
        lines=((ROTATION, "rotation"), (ROTATION_BOUND, "hold-down + fresh leaves")),
    ),
    Panel(
        title="Leaves through each authority, by apply",
        unit="certificates",
        lines=tuple((each.apply, each.title) for each in AUTHORITIES),
    ),
    Panel(
        title="Reading the evidence",
        unit="leaves",
        lines=((STATUS, "status"), (CHECK, "check")),
    ),
)


def draw(machine: Machine, record: Record, path: Path) -> None:
    """Write the panels that have figures to ``path`` (SVG, text kept as text)."""
    panels = [panel for panel in PANELS if record.sizes(*(name for name, _ in panel.lines))]
    if not panels:
        return
    # The same figures give the same file; text stays text, which is small and can be searched.
    with matplotlib.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none"}):
        figure = Figure(figsize=(_INCHES_A_PANEL * len(panels), 3.6), layout="constrained")
        for number, panel in enumerate(panels, 1):
            _draw_panel(figure.add_subplot(1, len(panels), number), panel, record)
        figure.suptitle(f"{machine.cpu}, {machine.cores} cores", fontsize="small")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_panel(axes: Axes, panel: Panel, record: Record) -> None:
    for subject, label in panel.lines:
        sizes = record.sizes(subject)
        seconds = [record.typical(subject, size) or 0.0 for size in sizes]
        axes.plot(sizes, seconds, marker="o", label=label)
    axes.set_title(panel.title, fontsize="medium")
    axes.set_xlabel(panel.unit)
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
