"""``mtls-pki drill``: a whole rotation of the stack, on throw-away clusters of this machine."""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from mtls_pki.commands.command import DIRECTORY, FILE, Command, add_stack, duration, open_stack
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.durations import format_duration

_FORMATS = ("html", "markdown", "text")
_PROGRAM = "lab/drill.py"


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument("--format", choices=_FORMATS, default="text", help="default: text")
    parser.add_argument("--output", type=Path, metavar=FILE, help="write the page there")
    parser.add_argument(
        "--patience",
        type=duration,
        default=timedelta(minutes=5),
        metavar="DURATION",
        help="how long one step may wait before the drill ends as blocked (default: 5m)",
    )
    parser.add_argument(
        "--checkout",
        type=Path,
        metavar=DIRECTORY,
        help="a checkout of mtls-pki, whose lab is used; default: where this runs from",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    stack = open_stack(options)
    stack.settings()
    checkout = options.checkout or Path(__file__).resolve().parents[2]
    if not (checkout / _PROGRAM).exists():
        raise CommandError(
            f"{checkout} has no {_PROGRAM}: the drill runs in the lab, which only a checkout of "
            "mtls-pki has; name one with --checkout"
        )
    command = [
        *(sys.executable, "-m", "lab.drill", str(stack.path.parent.absolute()), stack.stack),
        *("--format", options.format, "--patience", format_duration(options.patience)),
    ]
    if options.output is not None:
        command += ["--output", str(options.output.absolute())]
    with subprocess.Popen(command, cwd=checkout) as process:
        while True:
            try:
                status = process.wait()
                return ExitStatus(status) if status in list(ExitStatus) else ExitStatus.ERROR
            except KeyboardInterrupt:
                # It got the signal too, and cleans up.
                continue


COMMAND = Command(
    name="drill",
    summary="rehearse a whole rotation on clusters of this machine",
    description="Start control planes with a node on this machine, one for each cluster of the "
    "stack, apply the\nstack there with throw-away keys and short times, and rotate its anchor. "
    "Every service gets a\npod, and all of them shake hands all the while. The page says how long "
    "each step took, who\nbroke and why, and what was not rehearsed. Nothing of the real clusters "
    "is touched. docs/operations.md.",
    examples=("drill", "drill --stack prod --format html --output drill.html"),
    options=_options,
    run=_run,
)
