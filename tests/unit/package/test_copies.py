"""What copies the program runs the copy, although the checkout is installed; what does not, runs
the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import scene
from lab.project_copy import CHECKOUT as ROOT
from lab.project_copy import copy_tracked
from lab.pulumi_cli import Engine
from mtls_pki.version import VERSION
from tests.integration.support import project
from tests.integration.support.forge_flow import Flow
from tests.unit.ci.forge_server import ForgeServer

PROGRAM = Path(sys.executable).with_name("mtls-pki")
PLACE = "import mtls_pki, mtls_pki.components as c; print(mtls_pki.__file__); print(c.__file__)"


def of_the_bench(directory: Path) -> Path:
    scene.copy_program(directory)
    return directory


def of_a_forge(directory: Path) -> Path:
    """A job's checkout of a repository with this program."""
    engine = Engine(pulumi=Path("pulumi"), project=ROOT, directory=directory / "engine")
    flow = Flow(root=directory, forge=ForgeServer(url="http://127.0.0.1"), engine=engine)
    place = directory / "job"
    subprocess.run(["git", "clone", "-q", str(flow.repository), str(place)], check=True)
    return place


COPIES = {
    "bench": of_the_bench,
    "integration": project.copy_project,
    "forge": of_a_forge,
    "make": copy_tracked,
}


def run(directory: Path, *command: str | Path) -> str:
    """Run a command as those who copy do: in the copy, by the interpreter of this environment."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_runs_itself(tmp_path: Path, copy: Callable[[Path], Path]) -> None:
    directory = copy(tmp_path / "copy")
    places = run(directory, sys.executable, "-c", PLACE).splitlines()
    assert [Path(place) for place in places] == [
        directory / "mtls_pki" / "__init__.py",
        directory / "mtls_pki" / "components" / "__init__.py",
    ]
    # As `python -m mtls_pki` does: another version in the copy is the one that speaks.
    (directory / "mtls_pki" / "version.py").write_text('VERSION = "9.9.9"\n')
    assert run(directory, sys.executable, "-m", "mtls_pki", "--version") == "mtls-pki 9.9.9\n"


def test_the_installed_command_runs_the_checkout(tmp_path: Path) -> None:
    assert run(tmp_path, PROGRAM, "--version") == f"mtls-pki {VERSION}\n"
    places = run(tmp_path, sys.executable, "-c", PLACE).splitlines()
    assert [Path(place) for place in places] == [
        ROOT / "mtls_pki" / "__init__.py",
        ROOT / "mtls_pki" / "components" / "__init__.py",
    ]


def test_what_installs_the_requirements_installs_the_checkout() -> None:
    assert "-e ." in (ROOT / "requirements.txt").read_text().splitlines()
