"""The files of this checkout as git knows them, and copies of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def checkout_files() -> list[str]:
    """Return the paths of all files that are in git, or would be if they were added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # What was deleted and is not committed yet is listed too. A link may lead anywhere.
    return [
        name
        for name in filter(None, listed.split("\0"))
        if (ROOT / name).exists() or (ROOT / name).is_symlink()
    ]


def copy_checkout(target: Path, wanted: Callable[[str], bool] = lambda _: True) -> Path:
    """Copy the wanted files into ``target`` and return it; links stay links.

    The components are imported through a link, so a copy that followed it would have them twice.
    """
    for name in filter(wanted, checkout_files()):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place, follow_symlinks=False)
    return target
