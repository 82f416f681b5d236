"""Processes and their pid files, with `sleep` for a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.processes import (
    ProcessRecord,
    ProcessSpec,
    is_alive,
    read_record,
    start,
    start_mark,
    stop,
)

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(60)"
)


class Place:
    """Where the processes of one test are kept."""

    def __init__(self, directory: Path) -> None:
        self.pid_file = directory / "pids" / "server.json"
        self.log = directory / "logs" / "server.log"

    def start(self, *argv: str) -> ProcessRecord:
        spec = ProcessSpec(name="server", argv=argv, port=80)
        environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
        return start(spec, pid_file=self.pid_file, log=self.log, environment=environment)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    where = Place(tmp_path)
    yield where
    stop([where.pid_file], grace=0)


def test_a_started_process_is_recorded_and_alive(place: Place) -> None:
    record = place.start("sleep", "60")

    assert read_record(place.pid_file) == record
    assert is_alive(record)
    assert os.getsid(record.pid) == record.pid
    assert abs(record.since - time.time()) < 60


def test_stopping_ends_it_and_removes_the_pid_file(place: Place) -> None:
    record = place.start("sleep", "60")

    assert stop([place.pid_file]) == ("server",)

    assert not is_alive(record)
    assert not place.pid_file.exists()
    assert stop([place.pid_file]) == ()


def test_what_ignores_sigterm_is_killed(place: Place) -> None:
    record = place.start(sys.executable, "-c", STUBBORN)
    deadline = time.monotonic() + 10
    while not place.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)

    stop([place.pid_file], grace=0.1)

    assert not is_alive(record)


def test_a_process_that_ended_by_itself_is_dead(place: Place) -> None:
    record = place.start("true")
    deadline = time.monotonic() + 10
    while is_alive(record) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not is_alive(record)
    assert stop([place.pid_file]) == ()


def test_a_reused_pid_is_neither_ours_nor_killed(place: Place) -> None:
    record = place.start("sleep", "60")
    stop([place.pid_file])
    # Marks count clock ticks of 10 ms; two processes of one tick have the same.
    time.sleep(0.05)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        reused = {**vars(record), "pid": stranger.pid}
        place.pid_file.write_text(json.dumps(reused))

        assert not is_alive(read_record(place.pid_file))
        assert stop([place.pid_file]) == ()

        assert stranger.poll() is None
        stranger.kill()


def test_marks_differ_between_processes_and_are_stable() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        mark = start_mark(other.pid)
        assert mark is not None
        assert mark == start_mark(other.pid)
        assert mark != start_mark(os.getpid())
        other.kill()
    assert start_mark(other.pid) is None


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while start_mark(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert start_mark(child.pid) is None
    child.wait()


def test_the_environment_is_the_given_one_and_the_log_of_the_run_before_is_kept(
    place: Place,
) -> None:
    for _ in range(2):
        record = place.start("sh", "-c", 'echo "$GREETING ${HOME-none}"')
        deadline = time.monotonic() + 10
        while is_alive(record) and time.monotonic() < deadline:
            time.sleep(0.01)

    assert place.log.read_text() == "hello none\n"
    assert place.log.with_name("server.log.previous").read_text() == "hello none\n"


def test_a_missing_binary_is_named(place: Place) -> None:
    with pytest.raises(LabError, match="cannot start server: /nowhere/etcd: No such file"):
        place.start("/nowhere/etcd")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": 1}'])
def test_a_damaged_pid_file_is_no_process(place: Place, content: str) -> None:
    place.pid_file.parent.mkdir()
    place.pid_file.write_text(content)

    assert read_record(place.pid_file) is None
    assert stop([place.pid_file]) == ()


def test_the_fingerprint_changes_with_the_command_and_what_it_reads(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("a")
    spec = ProcessSpec(name="x", argv=("x", "--port=1"), reads=(file,))
    before = spec.fingerprint()

    assert spec.fingerprint() == before
    other = ProcessSpec(name="x", argv=("x", "--port=2"), reads=(file,))
    assert other.fingerprint() != before
    file.write_text("b")
    assert spec.fingerprint() != before
