"""A run's temporary directory is gone with what is in it, whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mtls_pki.files import mode_of
from mtls_pki.private_directory import OWNED, private_directory

# Makes a directory with a file in it, says where, and waits; a child that inherits the lock does
# nothing but outlive it.
MAKER = """
import subprocess, sys
from pathlib import Path
from mtls_pki.private_directory import private_directory
with private_directory(Path(sys.argv[1])) as made:
    (made.path / "kubeconfig1").write_text("key")
    if sys.argv[2:]:
        subprocess.Popen(sys.argv[2:], pass_fds=(made.lock,), stdout=subprocess.DEVNULL)
    print(made.path, flush=True)
    sys.stdin.read()
"""


@contextmanager
def maker(place: Path, *child: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a directory in ``place``, and the directory."""
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(place), *child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def used(place: Path) -> set[Path]:
    """What is in ``place`` while the next run is under way, beside that run's own directory."""
    with private_directory(place) as made:
        return set(place.iterdir()) - {made.path}


def holding(directory: Path) -> list[int]:
    """The processes that have the directory open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if descriptor.readlink() == directory:
                found.append(int(descriptor.parts[2]))
    return found


def test_only_its_maker_may_enter_and_nothing_is_left(tmp_path: Path) -> None:
    with private_directory(tmp_path) as made:
        assert mode_of(made.path) == 0o700
        assert made.path.name.startswith(OWNED)
        (made.path / "deep").mkdir()
        (made.path / "deep" / "kubeconfig1").write_text("key")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_run_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with private_directory(tmp_path) as made:
            (made.path / "kubeconfig1").write_text("key")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    with maker(tmp_path) as (process, left):
        process.kill()
        process.wait()
        assert (left / "kubeconfig1").exists()
    assert used(tmp_path) == set()


def test_a_run_that_is_under_way_keeps_its_directory(tmp_path: Path) -> None:
    with maker(tmp_path) as (_, held):
        assert used(tmp_path) == {held}
        assert (held / "kubeconfig1").exists()


def test_an_engine_that_outlives_its_killed_maker_keeps_its_directory(tmp_path: Path) -> None:
    with maker(tmp_path, "sleep", "600") as (process, held):
        process.kill()
        process.wait()
        try:
            assert used(tmp_path) == {held}
        finally:
            while children := holding(held):
                for child in children:
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
    assert used(tmp_path) == set()


def test_what_only_has_such_a_name_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = tmp_path / "tmp"
    place.mkdir()
    link, file = place / f"{OWNED}link", place / f"{OWNED}file"
    link.symlink_to(elsewhere)
    file.write_text("not ours")
    assert used(place) == {link, file}
    assert elsewhere.is_dir()


def test_makers_that_begin_together_keep_their_directories(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def make(_: int) -> None:
        for _ in range(40):
            together.wait()
            with private_directory(tmp_path) as made:
                (made.path / "file").write_text("there")
                together.wait()
                assert (made.path / "file").read_text() == "there"

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(8)))
    assert not list(tmp_path.iterdir())
