"""Builds one tool with Go: locked, atomic, resumable, and clear about what went wrong.

Go's own caches make an interrupted build resume; this module only ever adds a finished tool.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.errors import LabError
from lab.toolchain_cache import Slot
from lab.toolchain_progress import Update
from lab.toolchain_table import Part

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0
_TAIL_LINES = 15

# The same flags for all: a package compiled with other flags is not shared between the tools.
# Without CGO no C compiler is needed and the binaries are static.
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
_LINKER_FLAGS = ("-s", "-w")
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
# The tools run on this machine, whatever the user's shell builds for.
_FOREIGN = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT")

# What to do about a failure, by what Go says of it; the first that matches counts.
_REMEDIES: Sequence[tuple[str, str]] = (
    (r"no space left on device", "the disk is full; free some space and try again"),
    (
        r"checksum mismatch|SECURITY ERROR",
        "a module is not the one that go.sum names; have the module proxy (GOPROXY) checked",
    ),
    (
        r"dial tcp|connection re(fused|set)|i/o timeout|TLS handshake|no such host|proxyconnect"
        r"|unexpected EOF|\b(403|407|502|503|504) [A-Z]",
        "the Go module proxy did not answer; check the network and `go env GOPROXY`, then try again"
        " (what has been downloaded is kept)",
    ),
    (r"signal: killed", "the compiler was killed, perhaps for lack of memory; try again"),
)


class ToolchainError(LabError):
    """A tool cannot be had: names the tool, the reason, and what to install or do."""


def environment() -> dict[str, str]:
    """The environment in which Go runs here."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return kept | _ENVIRONMENT


def build(slot: Slot, *, go: str, update: Update) -> None:
    """Build the tool of ``slot`` into its place in the cache, unless another process just has.

    Args:
        slot: what to build and where to.
        go: path of the ``go`` command.
        update: called several times a second with a note on what is going on.

    Raises:
        ToolchainError: the build failed; has the end of its log and the log's path.
        OSError: the cache cannot be written.
    """
    with _locked(slot.lock, update) as lock:
        if slot.built:
            return
        work = slot.building
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(slot.definition, work / "source")
        result = work / "result"
        for directory in (result / "bin", result / "share", work / "tmp", slot.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        with slot.log.open("wb") as log:
            session = _Session(slot=slot, go=go, log=log, lock=lock, update=update)
            for part in slot.tool.parts:
                _build_part(session, part, work / "source" / part.directory, result)
        result.rename(slot.directory)
        shutil.rmtree(work)


@dataclass(frozen=True, kw_only=True)
class _Session:
    """Runs Go for one tool: output to the log, progress to the user, and no process left over."""

    slot: Slot
    go: str
    log: IO[bytes]
    lock: IO[str]
    update: Update

    def run(self, *arguments: str, directory: Path, output: Path | None = None) -> None:
        """Run ``go ARGUMENTS`` in ``directory``; ``output`` takes standard output, else the log.

        Raises:
            ToolchainError: it ended with an error.
        """
        with (output or Path(os.devnull)).open("wb") as stdout:
            process = subprocess.Popen(
                (self.go, *arguments),
                cwd=directory,
                env=environment() | {"GOTMPDIR": str(self.slot.building / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=stdout if output else self.log,
                stderr=self.log,
                # Its own process group, so that the compilers end with it; and should this process
                # be killed outright, the lock stays held until Go has ended.
                start_new_session=True,
                pass_fds=(self.lock.fileno(),),
            )
        try:
            while True:
                try:
                    status = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    self.update(_last_line(self.slot.log))
        except BaseException:
            _stop(process)
            raise
        if status:
            raise _failure(self.slot, f"`go {arguments[0]}` ended with status {status}")

    def module_directory(self, module: str, *, directory: Path) -> Path:
        """Where the module cache has ``module``, in the version that ``directory`` asks for."""
        output = self.slot.building / "module"
        self.run("mod", "download", module, directory=directory)
        self.run("list", "-m", "-f", "{{.Dir}}", module, directory=directory, output=output)
        return Path(output.read_text().strip())


def _build_part(session: _Session, part: Part, source: Path, result: Path) -> None:
    module = session.module_directory(part.module, directory=source) if part.module else Path()
    for name in part.sources:
        shutil.copyfile(module / name, source / Path(name).name)
    flags = [*_LINKER_FLAGS, *(f"-X={name}={value}" for name, value in part.stamps.items())]
    for binary, package in part.binaries.items():
        session.run(
            "build",
            "-v",  # names each package as it is compiled: what progress shows
            *_FLAGS,
            f"-ldflags={' '.join(flags)}",
            f"-o={result / 'bin' / binary}",
            package,
            directory=source,
        )
    for name in part.scripts:
        target = result / "bin" / Path(name).name
        shutil.copyfile(module / name, target)
        target.chmod(0o755)
    for name, origin in part.share.items():
        _copy_tree(module / origin, result / "share" / name)
    if part.chart_version:
        chart = result / "share" / "chart" / "Chart.yaml"
        chart.write_text(chart.read_text().replace("v0.0.0", part.chart_version))


def _copy_tree(origin: Path, target: Path) -> None:
    """Copy the files but not their modes: the module cache is read-only, directories included."""
    for path in sorted(path for path in origin.rglob("*") if path.is_file()):
        copy = target / path.relative_to(origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


@contextmanager
def _locked(path: Path, update: Update) -> Iterator[IO[str]]:
    """Hold the lock file ``path``, waiting as long as another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                update("waiting for another process that builds it")
                time.sleep(_POLL_SECONDS)
        yield handle


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End Go and its compilers: as Ctrl-C does, so that Go tidies up, and if need be by force."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _last_line(log: Path) -> str:
    lines = _tail(log, 1)
    return lines[0][:100] if lines else ""


def _tail(log: Path, count: int) -> list[str]:
    """The last lines of a log that may be long and may be growing."""
    with log.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 8192))
        text = stream.read().decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()][-count:]


def _failure(slot: Slot, what: str) -> ToolchainError:
    tail = _tail(slot.log, _TAIL_LINES)
    found = (remedy for pattern, remedy in _REMEDIES if re.search(pattern, "\n".join(tail)))
    reason = next(found, what)
    quoted = "".join(f"\n    {line}" for line in tail)
    return ToolchainError(
        f"{slot.tool.name} could not be built: {reason}. The end of {slot.log}:{quoted}"
    )
