"""``mtls-pki status``, ``check`` and one round of ``exporter``, on clusters of many leaves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import yaml

from bench import configuration
from bench.errors import BenchError
from bench.measurement import Record
from bench.progress import Progress
from bench.sampling import run
from bench.scene import STACK
from lab.files import write_private
from lab.project_copy import CHECKOUT, copy_program
from mtls_pki.exit_status import ExitStatus

STATUS, CHECK, EXPORTER = "status", "check", "exporter"
_OPTIONS = {
    STATUS: ("--json",),
    CHECK: ("--json",),
    EXPORTER: ("--textfile", "mtls.prom", "--once"),
}
REPETITIONS = 3
_START_SECONDS = 120.0
_POLL_SECONDS = 0.05


def measure(root: Path, record: Record, size: int, progress: Progress) -> None:
    """Measure the commands at ``size`` leaves: in one cluster, for the exporter in two.

    Raises:
        BenchError: a command failed, or the stand-in did not start.
    """
    progress(f"{size} leaves: making them")
    place = root / f"reading-{size}"
    with _served(size, place / "one") as one:
        project = _project(place / "status", [one])
        for subject in (STATUS, CHECK):
            _repeat(record, subject, size, project, progress)
    with _served(size // 2, place / "east") as east, _served(size // 2, place / "west") as west:
        project = _project(place / "exporter", [east, west])
        _repeat(record, EXPORTER, size, project, progress)


def _project(directory: Path, urls: Sequence[str]) -> Path:
    """Make the project of a stack whose clusters are the stand-ins at ``urls``."""
    copy_program(directory)
    values = configuration.settings(
        cluster="synthetic",
        kubeconfig="",
        anchors={"g1": "issuing"},
        count=0,
        hold_down=timedelta(minutes=2),
    )
    clusters = {}
    for number, url in enumerate(urls, 1):
        reach = directory / f"kubeconfig-{number}"
        write_private(reach, yaml.safe_dump(kubeconfig(url)))
        clusters[f"synthetic-{number}"] = {"kubeconfig": str(reach)}
    stack_file = configuration.stack_file({**values, "clusters": clusters})
    path = directory / f"Pulumi.{STACK}.yaml"
    path.write_text(yaml.safe_dump(stack_file), encoding="utf-8")
    return directory


def _repeat(record: Record, subject: str, size: int, project: Path, progress: Progress) -> None:
    for number in range(1, REPETITIONS + 1):
        progress(f"{size} leaves: {subject}, {number} of {REPETITIONS}")
        done = run(
            [sys.executable, "-m", "mtls_pki", subject, "--stack", STACK, *_OPTIONS[subject]],
            directory=project,
            # Safe or blocked does not matter here, but all must have been read.
            expected=(ExitStatus.DONE, ExitStatus.BLOCKED),
        )
        record.add(
            subject,
            size,
            seconds=done.seconds,
            cpu_seconds=done.cpu_seconds,
            peak_bytes=done.peak_bytes,
        )


def kubeconfig(url: str) -> dict[str, object]:
    """Return a kubeconfig for the stand-in at ``url``, which asks for no credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "synthetic",
        "clusters": [{"name": "synthetic", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "synthetic", "context": {"cluster": "synthetic", "user": "nobody"}}],
    }


@contextmanager
def _served(size: int, file: Path) -> Iterator[str]:
    """Run the stand-in as another process, so that it does not share this interpreter's lock."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.synthetic", str(size), str(file)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not file.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"the stand-in for a cluster of {size} leaves did not start")
            time.sleep(_POLL_SECONDS)
        yield file.read_text(encoding="utf-8")
    finally:
        server.communicate()
