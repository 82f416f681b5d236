"""Copies of the project, so that a test's stack file and state are its own."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PROGRAM = ("__main__.py", "mtls_pki", "components")
"""What the engine runs: the program and its package, whose components are a link."""


def copy_project(directory: Path) -> Path:
    """Copy the program, ``Pulumi*.yaml`` and ``trust`` into ``directory``, which is made.

    The virtual environment is a link to the real one: it is large, and nothing writes to it.

    Returns:
        ``directory``.
    """
    directory.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for source in (*(PROJECT / name for name in (*PROGRAM, "trust")), *PROJECT.glob("Pulumi*")):
        if source.is_dir():
            shutil.copytree(source, directory / source.name, symlinks=True, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, directory)
    (directory / ".venv").symlink_to(PROJECT / ".venv")
    return directory
