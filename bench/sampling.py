"""Running a command while watching its whole process tree."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from bench.errors import BenchError
from lab.control_plane import ControlPlane

_PERIOD_SECONDS = 0.1
_GRACE_SECONDS = 20.0
_SHOWN_LINES = 15
_OTHER = "command"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one command took.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time of all its processes, up to the last sample of each.
        cpu_of: the same by kind of process: ``engine`` (the CLI and what starts the program),
            ``program``, ``providers``, and ``command`` for the rest.
        peak_bytes: largest sum of resident memory of all its processes at one time. Pages that
            processes share count for each of them.
        output: standard output.
    """

    seconds: float
    cpu_seconds: float
    cpu_of: Mapping[str, float]
    peak_bytes: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    expected: tuple[int, ...] = (0,),
) -> Run:
    """Run ``command`` to its end.

    Args:
        expected: exit statuses that are no failure.

    Raises:
        BenchError: another exit status; with the end of what it printed.
        KeyboardInterrupt: after its processes have ended.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        try:
            with _Sampler(process.pid) as sampler:
                status = process.wait()
                seconds = time.perf_counter() - started
        except BaseException:
            _end(process)
            raise
        if status not in expected:
            shown = "\n".join([*_last_lines(output), *_last_lines(errors)])
            said = " ".join(map(str, command))
            raise BenchError(f"`{said}` ended with exit status {status}:\n{shown}")
        output.seek(0)
        return Run(
            seconds=seconds,
            cpu_seconds=sum(sampler.cpu_of.values()),
            cpu_of=sampler.cpu_of,
            peak_bytes=sampler.peak_bytes,
            output=output.read().decode(errors="replace"),
        )


class _Sampler:
    """Adds up memory and processor time of a process and all its descendants, in a thread."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._cpu: dict[tuple[int, float], tuple[str, float]] = {}
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    @property
    def cpu_of(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for kind, seconds in self._cpu.values():
            found[kind] = found.get(kind, 0.0) + seconds
        return found

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._ended.wait(_PERIOD_SECONDS):
                return

    def _sample(self) -> None:
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        resident = 0
        for process in tree:
            try:
                with process.oneshot():
                    resident += process.memory_info().rss
                    times = process.cpu_times()
                    key = process.pid, process.create_time()
                    known, _ = self._cpu.get(key, (_OTHER, 0.0))
                    # One that has ended, and whose parent has not asked yet, has no command line.
                    kind = _kind(process) if known == _OTHER else known
                    self._cpu[key] = kind, times.user + times.system
            except psutil.NoSuchProcess:
                continue
        self.peak_bytes = max(self.peak_bytes, resident)


def _kind(process: psutil.Process) -> str:
    name = process.name()
    if name.startswith("pulumi-resource-"):
        return "providers"
    if name.startswith("pulumi"):
        return "engine"
    if any("pulumi-language-python-exec" in part for part in process.cmdline()):
        return "program"
    return _OTHER


class ServersClock:
    """Processor seconds of the processes of a control plane, while a block runs.

    Attributes:
        seconds: of all of them, after the block.
    """

    def __init__(self, plane: ControlPlane) -> None:
        """Look at those that run now."""
        self._pids = [each.pid for each in plane.status() if each.pid is not None]
        self.seconds = 0.0

    def __enter__(self) -> ServersClock:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._read() - self._before

    def _read(self) -> float:
        found = (psutil.Process(pid).cpu_times() for pid in self._pids)
        return sum(times.user + times.system for times in found)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End an interrupted command and what it started.

    On Ctrl-C the terminal has signalled all of them; pulumi needs a moment to unlock its stack.
    """
    try:
        tree = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(tree, timeout=_GRACE_SECONDS)


def _last_lines(file: IO[bytes]) -> list[str]:
    file.seek(0)
    return file.read().decode(errors="replace").splitlines()[-_SHOWN_LINES:]
