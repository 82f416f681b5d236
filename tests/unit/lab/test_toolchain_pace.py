"""How long a build is said to take follows this machine, not the one that the table was made on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.toolchain_pace import learn, pace, told
from lab.toolchain_table import TOOLS

TOOL = TOOLS[0]


@pytest.mark.parametrize(
    ("cores", "load", "times"),
    [(2, 0.0, 1.0), (1, 0.0, 2.0), (8, 0.0, 0.25), (2, 1.0, 2.0), (2, 3.0, 4.0)],
)
def test_before_the_first_build_cores_and_load_tell(
    cores: int, load: float, times: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert pace(tmp_path) == pytest.approx(times)


def test_each_build_brings_it_nearer_to_this_machine(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("1.0")
    for expected in (2.0, 2.5, 2.75):
        learn(tmp_path, TOOL, 3 * TOOL.seconds)
        assert pace(tmp_path) == expected


def test_what_another_process_has_built_teaches_nothing(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("1.0")
    learn(tmp_path, TOOL, 1.0)
    assert pace(tmp_path) == 1.0


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    for text in ("", "soon", "-1", "0"):
        (tmp_path / "pace").write_text(text)
        assert pace(tmp_path) > 0


def test_times_are_told_as_people_say_them() -> None:
    assert [told(each) for each in (0.4, 40, 89, 95, 660)] == [
        "0 s",
        "40 s",
        "89 s",
        "2 min",
        "11 min",
    ]
