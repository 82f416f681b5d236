"""Processes and their pid files, with `sleep` for a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lab.errors import LabError
from lab.processes import (
    ProcessRecord,
    ProcessSpec,
    is_alive,
    read_record,
    refuse_unknown,
    start,
    start_mark,
    stop,
)

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(60)"
)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


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


def by_hand(pid: int) -> str:
    """The mark of the release before, of Linux: proc(5), the boot and field 22 of the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it had another form")
def test_processes_that_the_release_before_started_are_still_ours(place: Place) -> None:
    record = place.start("sleep", "60")
    place.pid_file.write_text(json.dumps({**vars(record), "mark": by_hand(record.pid)}))

    assert is_alive(read_record(place.pid_file))
    assert stop([place.pid_file]) == ("server",)
    assert not is_alive(record)


def test_a_mark_that_cannot_be_compared_is_one_message_and_nothing_is_ended(
    tmp_path: Path,
) -> None:
    places = [Place(tmp_path / name) for name in ("a", "b", "c")]
    records = [place.start("sleep", "60") for place in places]
    known, *old = places
    for place, record in zip(old, records[1:], strict=True):
        # As `ps -o lstart=` gave it to the release before, where there is no /proc.
        place.pid_file.write_text(json.dumps({**vars(record), "mark": "Thu Nov 26 01:12:11 2026"}))
    pids = [record.pid for record in records[1:]]
    files = [place.pid_file for place in places]

    for act in (stop, refuse_unknown, lambda each: is_alive(read_record(each[1]))):
        with pytest.raises(LabError, match=f"end those that are the lab's .*kill {pids[0]}"):
            act(files)
    with pytest.raises(LabError, match=f"ps -p {pids[0]},{pids[1]}"):
        stop(files)

    assert None not in [start_mark(record.pid) for record in records]
    assert all(file.exists() for file in files)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [start_mark(pid) for pid in pids] == [None, None])
    # The remedy that the message names is enough.
    assert stop(files) == (known.pid_file.stem,)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the start is not counted from boot")
def test_a_correction_of_the_clock_changes_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        before = start_mark(child.pid)
        booted = psutil.boot_time()
        # psutil adds this to what the kernel counts from the boot.
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + 3600)
        assert start_mark(child.pid) == before
        child.kill()


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
