"""Tables, picture, JSON and the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import cli, picture, tables
from bench.authorities import AUTHORITIES
from bench.machine import Machine, this_machine
from bench.measurement import Record
from bench.reading import CHECK, STATUS
from bench.stack import APPLY, PREVIEW, UP, UPDATE
from lab.errors import LabError

MACHINE = Machine(
    cpu="Some CPU", cores=2, memory=2**35, system="Linux 6", load=0.25, versions={"python": "3"}
)


def record() -> Record:
    made = Record()
    for size, seconds in ((50, 6.0), (250, 24.0)):
        made.add(UPDATE, size, seconds=seconds, state_bytes=size * 6000, peak_bytes=4e8)
        made.add(UPDATE, size, engine_cpu_seconds=1.5, servers_cpu_seconds=7.5)
        made.add(UP, size, seconds=3 * seconds)
        made.add(APPLY, size, seconds=seconds / 2)
    return made


def shown(what: Record) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    tables.show(console, MACHINE, what, apply_method="kubectl apply --server-side")
    return console.export_text()


def test_a_table_tells_machine_sizes_and_ratios() -> None:
    text = shown(record())
    assert "Some CPU, 2 cores, 32 GiB, Linux 6; load 0.25 at the start" in text
    assert "apply: kubectl apply --server-side" in text
    times, processes, *_ = (line for line in text.splitlines() if " 250 " in line)
    cells = [cell.strip() for cell in times.strip("│").split("│")]
    assert cells[:5] == ["250", "24.0 s", "12.0 s", "2.00 x", "4.00 x"]
    assert cells[6:8] == ["72.0 s", "6.00 x"]
    assert "1.5 MB" in cells
    cells = [cell.strip() for cell in processes.strip("│").split("│")]
    assert cells == ["250", "1.5 s", "-", "-", "-", "7.5 s"]


def test_leaves_through_the_authorities_stand_beside_each_other() -> None:
    made = Record()
    first, second, *_ = AUTHORITIES
    made.add(first.apply, 50, seconds=5.0)
    made.add(second.apply, 50, seconds=10.0)
    made.add(second.up, 50, seconds=12.0)
    rates, ups = (line for line in shown(made).splitlines() if " 50 " in line)
    assert [cell.strip() for cell in rates.strip("│").split("│")] == [
        *("50", "10.0/s", "5.0/s", "-", "-")
    ]
    assert [cell.strip() for cell in ups.strip("│").split("│")] == [
        *("50", "-", "12.0 s", "-", "-")
    ]


def test_what_was_not_measured_has_no_table() -> None:
    text = shown(record())
    assert "one repetition" in text
    assert "Preview" not in text
    assert "evidence" not in text


def test_the_picture_has_a_panel_for_each_part_and_is_the_same_each_time(tmp_path: Path) -> None:
    made = record()
    made.add(PREVIEW, 50, seconds=3.0)
    made.add(STATUS, 100, seconds=0.5)
    made.add(CHECK, 100, seconds=0.5)
    made.add(AUTHORITIES[1].apply, 50, seconds=12.0)
    for name in ("one.svg", "two.svg"):
        picture.draw(MACHINE, made, tmp_path / name)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "Until all are Ready" in text
    assert "Preview without a change" in text
    assert "Reading the evidence" in text
    assert "Leaves through each authority" in text
    assert "Rotation" not in text
    assert text == (tmp_path / "two.svg").read_text(encoding="utf-8")


def test_this_machine_is_described() -> None:
    machine = this_machine([("echo", ["echo", "v1"]), ("none", ["true"])])
    assert machine.cores >= 1
    assert machine.versions["echo (program)"] == "v1"
    assert machine.versions["none (program)"] == "unknown"
    assert machine.versions["pulumi"]


def test_results_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.toolchain, "ensure", lambda *names: {"pulumi": Path("true")})
    monkeypatch.setattr(cli, "_measure", lambda options, made: made.add(UPDATE, 50, seconds=6.0))
    assert cli.main(["--output", str(tmp_path / "new")]) == 0
    values = json.loads((tmp_path / "new/results.json").read_text(encoding="utf-8"))
    assert [each["subject"] for each in values["measurements"]] == [UPDATE]
    assert values["machine"]["cores"] >= 1
    assert (tmp_path / "new/results.svg").exists()
    assert "6.0 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (LabError("etcd is missing"), 1, "bench: etcd is missing"),
        (KeyboardInterrupt(), 130, "everything it started has ended"),
    ],
)
def test_a_failure_is_one_message(
    error: BaseException,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: str) -> None:
        raise error

    monkeypatch.setattr(cli.toolchain, "ensure", fail)
    assert cli.main(["--output", str(tmp_path)]) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("sizes", ["", "0", "50,many", "-1"])
def test_a_wrong_size_is_refused(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([f"--sizes={sizes}"])
    assert "write numbers of 1 or more" in capsys.readouterr().err
