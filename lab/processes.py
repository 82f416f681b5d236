"""Processes that outlive the program that started them, known by pid *and* start time.

A pid alone says nothing: after a crash or a reboot it may be another program's. Each process is
therefore recorded with a mark of when it was started; a process whose mark differs is not ours, and
is never signalled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lab.errors import LabError
from lab.files import write_private

_POLL = 0.02  # seconds
# What `start_mark` returns on this system; a record may hold a mark of an earlier release.
_MARK = re.compile(r"[0-9a-f-]{36}:\d+" if sys.platform == "linux" else r"\d+\.\d{6}")
# Children of this very program, kept so that the ones that end are reaped.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What is to run.

    Attributes:
        name: of the process within its control plane; names its log and pid file.
        argv: the command; never a secret, since every user of the machine can read it.
        reads: files whose content decides what the process does; a change makes ``up`` restart it.
        writes: its configuration: files (0600) and their content, written before it starts.
        port: where it can be asked whether it lives, if anywhere.
    """

    name: str
    argv: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    writes: tuple[tuple[Path, str], ...] = ()
    port: int | None = None

    def fingerprint(self) -> str:
        """Hex SHA-256 of command, read and written files: equal fingerprints need no restart."""
        digest = hashlib.sha256(json.dumps(self.argv).encode())
        for path in self.reads:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        for _, content in self.writes:
            digest.update(hashlib.sha256(content.encode()).digest())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """One started process, as its pid file has it.

    Attributes:
        pid: process id.
        mark: when it was started, see ``start_mark``.
        fingerprint: of the spec that it runs.
        since: start in seconds since the epoch, for people.
        port: as in the spec.
    """

    pid: int
    mark: str
    fingerprint: str
    since: float
    port: int | None


def start_mark(pid: int) -> str | None:
    """What tells process ``pid`` from all others that have had its pid; None if there is none.

    On Linux the boot and the number of clock ticks from it to the start of the process, elsewhere
    the time of its start in seconds since the epoch. A zombie is no process.
    """
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return None
            created = process.create_time()
    except psutil.NoSuchProcess:
        return None
    if sys.platform != "linux":
        return f"{created:.6f}"
    # psutil adds the time of the boot to what the kernel counts from it. A correction of the clock
    # moves that time, so it is taken off again: a process must not change its mark.
    ticks = round((created - psutil.boot_time()) * os.sysconf("SC_CLK_TCK"))
    return f"{_boot_id()}:{ticks}"


def is_alive(record: ProcessRecord | None) -> bool:
    """Whether the recorded process itself still runs.

    Raises:
        LabError: as :func:`refuse_unknown`.
    """
    if record is None:
        return False
    if record.pid in _children:
        _children[record.pid].poll()
    _refuse_unknown([record])
    return start_mark(record.pid) == record.mark


def refuse_unknown(pid_files: Iterable[Path]) -> None:
    """Refuse to guess whose processes these are, where an earlier release marked them otherwise.

    Raises:
        LabError: a recorded pid is in use, and this release cannot compare the mark of the record.
    """
    _refuse_unknown(record for record in map(read_record, pid_files) if record is not None)


def _refuse_unknown(records: Iterable[ProcessRecord]) -> None:
    pids = [
        str(record.pid)
        for record in records
        # A process that ended at once has the empty mark.
        if record.mark and not _MARK.fullmatch(record.mark) and start_mark(record.pid) is not None
    ]
    if pids:
        raise LabError(
            "an earlier release recorded these processes in a form that does not tell them from "
            f"other programs with the same number: {', '.join(pids)}. Nothing was stopped. Look at "
            f"them (`ps -p {','.join(pids)}`), end those that are the lab's "
            f"(`kill {' '.join(pids)}`), remove the record of each that is not (`pids/NAME.json` "
            "of the control plane), and run this again"
        )


def read_record(pid_file: Path) -> ProcessRecord | None:
    """The record in ``pid_file``; None if there is none or if it cannot be read as one."""
    try:
        return ProcessRecord(**json.loads(pid_file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def start(
    spec: ProcessSpec, *, pid_file: Path, log: Path, environment: Mapping[str, str]
) -> ProcessRecord:
    """Start ``spec`` in a session of its own; the log of the last run stays as ``LOG.previous``.

    Raises:
        LabError: the command cannot be executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.previous"))
    fingerprint = spec.fingerprint()
    for path, content in spec.writes:
        write_private(path, content)
    with log.open("wb") as output:
        try:
            # Its own session: neither Ctrl-C nor the end of the terminal reaches it.
            child = subprocess.Popen(
                spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=log.parent,
                env=dict(environment),
            )
        except OSError as error:
            raise LabError(f"cannot start {spec.name}: {spec.argv[0]}: {error.strerror}") from error
    _children[child.pid] = child
    record = ProcessRecord(
        pid=child.pid,
        # A process that ended at once has no mark; nothing ever matches the empty one.
        mark=start_mark(child.pid) or "",
        fingerprint=fingerprint,
        since=time.time(),
        port=spec.port,
    )
    write_private(pid_file, json.dumps(asdict(record)) + "\n")
    return record


def stop(pid_files: Iterable[Path], *, grace: float = 5.0) -> tuple[str, ...]:
    """Stop the recorded processes one by one, in the order given, and remove their pid files.

    Each gets SIGTERM, and SIGKILL after ``grace`` seconds.

    Returns:
        the names of those that were running.

    Raises:
        LabError: as :func:`refuse_unknown`; then none of them was stopped.
    """
    pid_files = tuple(pid_files)
    refuse_unknown(pid_files)
    stopped = []
    for pid_file in pid_files:
        record = read_record(pid_file)
        if record is not None and _end(record, grace=grace):
            stopped.append(pid_file.stem)
        pid_file.unlink(missing_ok=True)
    return tuple(stopped)


def _end(record: ProcessRecord, *, grace: float) -> bool:
    if not is_alive(record):
        _children.pop(record.pid, None)
        return False
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
        deadline = time.monotonic() + patience
        while is_alive(record) and time.monotonic() < deadline:
            time.sleep(_POLL)
        if not is_alive(record):
            break
    _children.pop(record.pid, None)
    return True


def _boot_id() -> str:
    # By hand: psutil knows the time of the boot alone, which every correction of the clock moves.
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
