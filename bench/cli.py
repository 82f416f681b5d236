"""``python -m bench``: measure on the lab; print tables, write JSON and a picture."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from rich.console import Console

from bench import authorities, bucket, comparison, picture, reading, tables
from bench.errors import BenchError
from bench.machine import Machine, this_machine
from bench.measurement import Record, as_json
from bench.progress import Progress, on_standard_error
from bench.scene import scene
from bench.stack import StackBench
from lab import toolchain
from lab.errors import LabError
from lab.guard import Guard

STACK_PARTS = ("up", "preview", "rotation")
READING = "reading"
AUTHORITIES = "authorities"
BUCKET = "bucket"
_WIDTH = 110  # of the tables where they go into a file
_INTERRUPTED = 130  # as shells report a command that SIGINT ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen parts; the exit status says whether it could be, never how fast."""
    options = _parser().parse_args(arguments)
    record = Record()
    with _terminable():
        try:
            programs = toolchain.ensure(*toolchain.FOUNDATION)
            machine = this_machine([("pulumi", [str(programs["pulumi"]), "version"])])
            try:
                _measure(options, record)
            finally:
                # Also what an interrupted run has measured so far: a whole one is long.
                if record.measurements:
                    _report(options.output, machine, record)
        except (BenchError, LabError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("bench: interrupted; everything it started has ended", file=sys.stderr)
            return _INTERRUPTED
    return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, with everything that it started."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure this program on a local control plane, compared with kubectl and with "
        "an empty program, in one run. It says how fast, and asserts nothing about it.",
    )
    parts = (*STACK_PARTS, READING, AUTHORITIES, BUCKET)
    parser.add_argument(
        "--only",
        action="append",
        choices=parts,
        help="measure this part alone (may be repeated): up (`mtls-pki up`, server-side apply, "
        "`pulumi up`, memory, state), preview (nothing changes), rotation (add, hold-down, "
        "promote), reading (`mtls-pki status`, `check` and `exporter` of many leaves), "
        "authorities (leaves through the issuers of each backend), bucket (a state far away); "
        "default: all",
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=(50, 250, 1000),
        metavar="N,N,...",
        help="numbers of service certificates (default: 50,250,1000)",
    )
    parser.add_argument(
        "--leaves",
        type=_sizes,
        default=(100, 1000, 10000),
        metavar="N,N,...",
        help="numbers of leaves for reading (default: 100,1000,10000)",
    )
    parser.add_argument(
        "--authority-sizes",
        type=_sizes,
        default=(50, 250),
        metavar="N,N,...",
        help="numbers of certificates for authorities (default: 50,250)",
    )
    parser.add_argument(
        "--bucket-sizes",
        type=_sizes,
        default=(250,),
        metavar="N,N,...",
        help="numbers of certificates for bucket (default: 250)",
    )
    parser.add_argument(
        "--repetitions",
        type=int,
        default=1,
        metavar="N",
        help="how often each size is set up anew and measured (default: 1); the median counts",
    )
    parser.add_argument(
        "--hold-down",
        type=int,
        default=30,
        metavar="SECONDS",
        help="of the rotations (default: 30)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bench/results"),
        metavar="DIR",
        help="where results.json and results.svg go (default: bench/results)",
    )
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: write numbers of 1 or more, such as 50,250")
    return sizes


def _measure(options: argparse.Namespace, record: Record) -> None:
    parts = set(options.only or (*STACK_PARTS, READING, AUTHORITIES, BUCKET))
    progress = on_standard_error()
    with ExitStack() as cleanup:
        root = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mtls-pki-bench-")))
        # Even after SIGKILL nothing of it is left.
        cleanup.callback(Guard(root).release)
        if READING in parts:
            for size in options.leaves:
                reading.measure(root, record, size, progress)
        if parts.intersection(STACK_PARTS):
            for size in options.sizes:
                for number in range(options.repetitions):
                    _measure_stack(root / f"{size}-{number}", parts, options, record, progress)
        if BUCKET in parts:
            for size in options.bucket_sizes:
                for number in range(options.repetitions):
                    bucket.measure(root / f"bucket-{size}-{number}", record, size, progress)
        if AUTHORITIES in parts:
            for size in options.authority_sizes:
                for number in range(options.repetitions):
                    place = root / f"authorities-{size}-{number}"
                    authorities.measure(place, record, size, progress, number=number)


def _measure_stack(
    root: Path,
    parts: set[str],
    options: argparse.Namespace,
    record: Record,
    progress: Progress,
) -> None:
    """Measure one size once, on a control plane of its own: the last one must not slow the next."""
    size = int(root.name.partition("-")[0])
    progress(f"{size} certificates: starting a control plane")
    with scene(root, "bench") as made:
        hold_down = timedelta(seconds=options.hold_down)
        StackBench(made, record, size, hold_down, progress).run(parts)


def _report(output: Path, machine: Machine, record: Record) -> None:
    output.mkdir(parents=True, exist_ok=True)
    values = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(machine),
        "apply": comparison.method(),
        "measurements": as_json(record.measurements),
    }
    (output / "results.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    picture.draw(machine, record, output / "results.svg")
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    tables.show(console, machine, record, apply_method=comparison.method())
    console.print(f"written: {output}/results.json and results.svg")
