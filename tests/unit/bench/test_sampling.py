"""Watching a process tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import sampling
from bench.errors import BenchError
from bench.sampling import run

MEGABYTES = 60
# A parent that does nothing while its child holds memory and works.
CHILD = (
    f"x = bytearray({MEGABYTES} * 2**20); import time; e = time.process_time() + 0.3\n"
    "while time.process_time() < e: pass"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_memory_and_time_of_descendants_count(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", PARENT], directory=tmp_path)
    assert done.peak_bytes > MEGABYTES * 2**20
    assert done.cpu_seconds > 0.1
    assert done.seconds > 0.3


def test_output_is_kept(tmp_path: Path) -> None:
    assert run([sys.executable, "-c", "print('here')"], directory=tmp_path).output == "here\n"


def test_a_failure_shows_command_and_the_end_of_what_it_said(tmp_path: Path) -> None:
    program = "import sys; print('first'); sys.exit('last words')"
    with pytest.raises(BenchError, match=r"exit status 1:\nfirst\nlast words"):
        run([sys.executable, "-c", program], directory=tmp_path)


def test_an_expected_exit_status_is_no_failure(tmp_path: Path) -> None:
    run([sys.executable, "-c", "raise SystemExit(3)"], directory=tmp_path, expected=(0, 3))


def test_an_interrupt_ends_the_whole_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "child"
    sleeper = "import os, pathlib, time; pathlib.Path('child').write_text(str(os.getpid()));"
    sleeper += "time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"

    class Interrupted(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            if timeout is None and self.poll() is None:
                while not (marker.exists() and marker.read_text(encoding="utf-8")):
                    pass
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(sampling.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", program], directory=tmp_path)
    child = int(marker.read_text(encoding="utf-8"))
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"
