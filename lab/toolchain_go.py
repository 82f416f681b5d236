"""What this machine must have before anything is built: Go, new enough, and room on the disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.toolchain_build import ToolchainError, environment
from lab.toolchain_cache import Slot

# Measured for the seven tools of FOUNDATION from nothing: 6.2 GB in Go's build cache, 4.9 GB of
# modules and 0.6 GB of results, and what the compiler holds for a while.
DISK_BYTES_PER_TOOL = 1_800_000_000
_GIB = 2**30

Version = tuple[int, int, int]


def prerequisites(slots: Sequence[Slot]) -> str:
    """Check that the tools of ``slots`` can be built here.

    Returns:
        the path of the ``go`` command.

    Raises:
        ToolchainError: Go is missing, broken or too old, or the disk is too full.
    """
    names = ", ".join(slot.tool.name for slot in slots)
    needed = max(map(_required, slots))
    wanted = f"Go {needed[0]}.{needed[1]} or later"
    go = shutil.which("go")
    if go is None:
        raise ToolchainError(
            f"building {names} needs {wanted}, and there is no `go` on PATH: install it "
            "(https://go.dev/doc/install)"
        )
    facts = _facts(go)
    found = _version(facts["GOVERSION"])
    if found < needed:
        raise ToolchainError(
            f"building {names} needs {wanted}, and {go} is {facts['GOVERSION']}: install a newer "
            "one (https://go.dev/doc/install)"
        )
    room = len(slots) * DISK_BYTES_PER_TOOL
    for place in (str(slots[0].cache), facts["GOCACHE"], facts["GOMODCACHE"]):
        free = shutil.disk_usage(_existing(Path(place))).free
        if free < room:
            raise ToolchainError(
                f"building {names} needs about {room / _GIB:.0f} GiB in {place}, and "
                f"{free / _GIB:.1f} GiB are free: free some space"
            )
    return go


def _facts(go: str) -> dict[str, str]:
    command = (go, "env", "-json", "GOVERSION", "GOCACHE", "GOMODCACHE")
    try:
        answer = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=True, timeout=60
        )
        facts: dict[str, str] = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ToolchainError(
            f"{go} does not work ({error}): install Go anew (https://go.dev/doc/install)"
        ) from error
    return facts


def _required(slot: Slot) -> Version:
    """The newest Go that the ``go`` lines of a tool's modules ask for."""
    return max(
        _version((slot.definition / part.directory / "go.mod").read_text())
        for part in slot.tool.parts
    )


def _version(text: str) -> Version:
    """The first Go version in ``text``: ``go1.26.8``, or the ``go 1.26.0`` of a ``go.mod``."""
    match = re.search(r"(?m)^(?:devel )?go ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        return (0, 0, 0)
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def _existing(path: Path) -> Path:
    """``path`` or its nearest ancestor that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
