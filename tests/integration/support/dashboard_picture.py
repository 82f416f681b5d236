"""A picture of the dashboard: its panels as Grafana lays them out, from the series of a Prometheus.

Grafana itself comes from no registry of this project, so what draws the panels here is our own.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.dashboard import ROWS, Shown
from tests.integration.support.prometheus import Watch

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_WIDTH, _HEIGHT = 1200, 960
_HIDDEN = {"__name__", "domain", "instance", "job"}
_COLOURS = ("#1a7f37", "#0969da", "#9a6700", "#8250df", "#cf222e", "#57606a")
_PLOT_WIDTH, _PLOT_HEIGHT = 1000, 120
_STYLE = """
body { font: 13px sans-serif; margin: 16px; color: #1f2328; }
h1 { font-size: 20px; } h2 { font-size: 15px; margin: 14px 0 6px; }
.row { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px; }
.panel { border: 1px solid #d0d7de; border-radius: 4px; padding: 6px 8px; overflow: hidden; }
.panel h3 { font-size: 12px; margin: 0 0 4px; font-weight: 600; }
.number { font-size: 26px; text-align: center; color: white; border-radius: 4px; padding: 6px; }
.good { background: #1a7f37; } .bad { background: #cf222e; }
table { border-collapse: collapse; width: 100%; font-size: 11px; }
td, th { text-align: left; padding: 2px 6px; border-bottom: 1px solid #eaeef2; }
svg { width: 100%; } .none { color: #57606a; }
"""


def draw(watch: Watch, domain: str, *, since: float, directory: Path) -> tuple[str, Path]:
    """Return the page of the dashboard, and the picture that a browser makes of it."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        pytest.fail(f"none of {', '.join(_BROWSERS)} is on PATH; Debian: apt-get install chromium")
    directory.mkdir()
    source, taken = directory / "dashboard.html", directory / "dashboard.png"
    page = _page(watch, domain, since)
    source.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            "--force-device-scale-factor=1",
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={_WIDTH},{_HEIGHT}",
            f"--screenshot={taken}",
            source.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert taken.exists(), done.stderr
    return page, taken


def _page(watch: Watch, domain: str, since: float) -> str:
    rows = []
    for title, panels in ROWS:
        drawn = "".join(_panel(watch, shown, domain, since) for shown in panels)
        rows.append(f'<h2>{html.escape(title)}</h2><div class="row">{drawn}</div>')
    head = f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>'
    return f"{head}<h1>mTLS trust: {html.escape(domain)}</h1>{''.join(rows)}"


def _panel(watch: Watch, shown: Shown, domain: str, since: float) -> str:
    expression = shown.expression.replace("$domain", domain)
    if shown.kind in ("number", "table"):
        found = watch.query(expression)
        inner = _number(shown, found) if shown.kind == "number" else _table(shown, found)
    else:
        now = time.time()
        series = watch.query_range(expression, start=since, end=now)
        inner = (_timeline if shown.kind == "timeline" else _lines)(shown, series, since, now)
    return (
        f'<div class="panel" style="grid-column: span {shown.width}">'
        f"<h3>{html.escape(shown.title)}</h3>{inner}</div>"
    )


def _value(shown: Shown, text: str) -> str:
    number = float(text)
    if shown.unit == "dateTimeAsIso":
        return datetime.fromtimestamp(number / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{number:.0f} s" if shown.unit == "s" else f"{number:g}"


def _number(shown: Shown, found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return '<div class="none">No data</div>'
    text = found[0]["value"][1]
    bad = shown.bad_from is not None and float(text) >= shown.bad_from
    return f'<div class="number {"bad" if bad else "good"}">{_value(shown, text)}</div>'


def _table(shown: Shown, found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return '<div class="none">none</div>'
    names = sorted({name for each in found for name in each["metric"]} - _HIDDEN)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (*names, "Value"))
    body = "".join(
        _row([*(each["metric"].get(name, "") for name in names), _value(shown, each["value"][1])])
        for each in found
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _row(texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in texts)}</tr>"


def _legend(shown: Shown, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), shown.legend)


def _across(at: float, since: float, now: float) -> float:
    return _PLOT_WIDTH * (at - since) / (now - since)


def _lines(shown: Shown, series: Sequence[Mapping[str, Any]], since: float, now: float) -> str:
    if not series:
        return '<div class="none">No data</div>'
    top = max(float(value) for each in series for _, value in each["values"]) or 1.0
    drawn, names = [], []
    for colour, each in zip(_COLOURS, series, strict=False):
        heights = [float(value) / top * (_PLOT_HEIGHT - 10) for _, value in each["values"]]
        points = " ".join(
            f"{_across(at, since, now):.1f},{_PLOT_HEIGHT - height:.1f}"
            for (at, _), height in zip(each["values"], heights, strict=True)
        )
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        names.append(
            f'<span style="color: {colour}">{html.escape(_legend(shown, each["metric"]))}</span>'
        )
    box = f"0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}"
    return f'<svg viewBox="{box}">{"".join(drawn)}</svg><div>0 to {top:g}: {" ".join(names)}</div>'


def _timeline(shown: Shown, series: Sequence[Mapping[str, Any]], since: float, now: float) -> str:
    drawn, names = [], []
    ordered = sorted(series, key=lambda each: float(each["values"][0][0]))
    for colour, each in zip(_COLOURS, ordered, strict=False):
        for at, _ in each["values"]:
            left = _across(at, since, now)
            width = _across(at + 1.2, since, now) - left
            drawn.append(
                f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="20" fill="{colour}"/>'
            )
        names.append(
            f'<span style="color: {colour}">{html.escape(_legend(shown, each["metric"]))}</span>'
        )
    return f'<svg viewBox="0 0 {_PLOT_WIDTH} 20">{"".join(drawn)}</svg><div>{" ".join(names)}</div>'
