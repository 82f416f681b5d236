"""Copies of the program, to run it elsewhere than in the checkout.

A copy, because the engine writes a stack's configuration next to ``Pulumi.yaml``, and because
whoever edits the checkout during a long run must not change what is being run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "mtls_pki"
"""The installable package, in which the program and its commands are."""

_CACHES = shutil.ignore_patterns("__pycache__")


def program_entries() -> tuple[str, ...]:
    """Return what the program consists of, as names in the checkout.

    These are the project's file, what the engine runs, the package, and what the package links to:
    its components, which are outside of it.
    """
    package = CHECKOUT / PACKAGE
    linked = {link.resolve() for link in package.iterdir() if link.is_symlink()}
    return ("Pulumi.yaml", "__main__.py", PACKAGE, *sorted(path.name for path in linked), "trust")


def copy_program(directory: Path, *, stack_files: bool = False) -> Path:
    """Copy the program into ``directory``, which is made, and return it.

    The virtual environment is a link to the one that runs this: it is large, and nothing writes to
    it. The copy is imported and not the checkout that is installed there, for Python looks first
    where the program is.

    Args:
        directory: of the copy.
        stack_files: copy ``Pulumi.<stack>.yaml`` too.
    """
    directory.mkdir(parents=True)
    stacks = [path.name for path in CHECKOUT.glob("Pulumi.*.yaml")] if stack_files else []
    for entry in (*program_entries(), *stacks):
        source = CHECKOUT / entry
        if source.is_dir():
            shutil.copytree(source, directory / entry, symlinks=True, ignore=_CACHES)
        else:
            shutil.copy2(source, directory)
    (directory / ".venv").symlink_to(sys.prefix)
    return directory


def tracked_files() -> list[str]:
    """Return the paths of all files that git knows, or would take, links among them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # What was deleted and is not committed yet is listed too. A link may lead anywhere.
    return [
        name
        for name in filter(None, listed.split("\0"))
        if (CHECKOUT / name).exists() or (CHECKOUT / name).is_symlink()
    ]


def copy_tracked(directory: Path, *, keep: Callable[[str], bool] = lambda _: True) -> Path:
    """Copy the files that git knows, or would take, into ``directory``; links stay links.

    Args:
        directory: of the copy, which is made where it is missing.
        keep: tells of a file's name in the checkout whether it is copied.

    Returns:
        ``directory``.
    """
    for name in filter(keep, tracked_files()):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
    return directory
