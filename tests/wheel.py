"""The wheel of this checkout, and environments that have it and not the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from lab.project_copy import copy_tracked

_QUIET = ("--quiet", "--disable-pip-version-check")


def build_wheel(directory: Path) -> Path:
    """Build it in ``directory``, from a copy: setuptools leaves its work in the tree."""
    source = copy_tracked(directory / "checkout")
    _pip("wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, at=source)
    (built,) = directory.glob("*.whl")
    return built


def install_alone(wheel: Path, environment: Path) -> Path:
    """Make an environment with the wheel alone; what it needs is that of the tests.

    A line of a ``.pth`` adds a directory and not what that directory's own ``.pth`` files add, so
    the checkout, which is installed there by such a file, cannot be imported.
    """
    venv.create(environment, symlinks=True, with_pip=False)
    python = environment / "bin" / "python"
    _pip("--python", python, "install", wheel, "--no-deps", "--no-index", at=environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def _pip(*arguments: str | Path, at: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments), *_QUIET],
        cwd=at,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
