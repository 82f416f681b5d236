"""The shipped dashboard is what its source makes, and asks for what the exporter serves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lab.dashboard import ROWS, Shown, dashboard_json
from mtls_pki.watch.measures import MEASURES

FILE = Path(__file__).parents[3] / "deploy/dashboard.json"
SHOWN = [shown for _, panels in ROWS for shown in panels]


def test_the_shipped_file_is_what_the_source_makes() -> None:
    if os.environ.get("UPDATE_DASHBOARD"):
        FILE.write_text(dashboard_json())
    assert FILE.read_text() == dashboard_json(), "UPDATE_DASHBOARD=1 pytest tests/unit/watch"


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.title)
def test_a_panel_asks_for_metrics_that_exist(shown: Shown) -> None:
    known = {measure.name: set(measure.labels) | {"domain"} for measure in MEASURES}
    names = re.findall(r"\bmtls_\w+", shown.expression)
    assert names
    for name in names:
        assert name in known
    labels = set(re.findall(r"\{\{(\w+)\}\}", shown.legend))
    assert all(labels <= known[name] for name in names)
    assert 'domain="$domain"' in shown.expression


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.fail("apt-get install prometheus", pytrace=False)
    rules = [
        {"record": f"dashboard:panel:{number}", "expr": shown.expression}
        for number, shown in enumerate(SHOWN)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [tool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rows_answer_from_top_to_bottom() -> None:
    found = json.loads(FILE.read_text())["panels"]
    rows = [panel["title"] for panel in found if panel["type"] == "row"]
    assert rows == [title for title, _ in ROWS]
    assert len(found) == len(rows) + len(SHOWN)
    assert len({panel["id"] for panel in found}) == len(found)
