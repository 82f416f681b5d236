"""``python -m lab.guard DIR``: remove the control planes in DIR when its parent is gone.

Tests start it with a pipe as its standard input. The kernel closes the other end whatever way the
tests end, SIGKILL included; the guard then stops what they left. (The kernel's parent-death signal
would not do: it is sent when the *thread* that started a process ends, and control planes are
started from a pool.)
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lab.control_plane import ControlPlane
from lab.paths import existing


class Guard:
    """Guards the control planes in ``root`` for as long as this program lives."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.guard", str(root)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parents[1],
        )

    def release(self) -> None:
        """Let the guard remove what is left, and wait for it."""
        self._process.communicate()


def main(root: Path) -> None:
    """Wait for the end of standard input, then stop and remove everything in ``root``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    for name in existing(root):
        ControlPlane(root, name).down(purge=True)
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
