"""``--with step-ca``: runs a step-ca for each that a stack declares; see ``lab.step_ca_runner``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from lab.paths import Paths
from lab.processes import ProcessSpec
from lab.programs import Ports, Program
from lab.toolchain import ensure

NAME = "step-ca"


class StepCaServer:
    """The runner of ``--with step-ca``; see ``lab.servers.Server`` for what each method is for."""

    @property
    def program(self) -> Program:
        return Program(name=NAME, ports=(), spec=_process)

    def binary(self) -> Path:
        return ensure(NAME)[NAME]

    def prepare(self, paths: Paths, stop: Callable[[], None]) -> None:
        data(paths).mkdir(parents=True, exist_ok=True, mode=0o700)

    def advance(self, paths: Paths, ports: Ports) -> str | None:
        # It is ready when it runs: there may be no step-ca yet.
        return None

    def sealed(self, paths: Paths, ports: Ports) -> bool:
        return False

    def usage(self, paths: Paths, ports: Ports) -> tuple[str, ...]:
        return ()


STEP_CA = StepCaServer()


def data(paths: Paths) -> Path:
    """The files and databases of the step-cas; survives ``down``, goes with ``down --purge``."""
    return paths.directory / NAME


def _process(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    project = Path(__file__).parents[1]
    return ProcessSpec(
        name=NAME,
        argv=(
            # It is started elsewhere, with little of an environment.
            *("/usr/bin/env", f"PYTHONPATH={project}", sys.executable, "-m", "lab.step_ca_runner"),
            *(str(binary), str(paths.root), paths.name),
        ),
    )
