"""``--with aws-pca``: AWS Private CA by moto; ``lab.aws_pca_authority`` says how far it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import urllib3

from lab.paths import Paths
from lab.ports import LOOPBACK
from lab.processes import ProcessSpec
from lab.programs import Ports, Program

NAME = "aws-pca"


class AwsPcaServer:
    """The server of ``--with aws-pca``; see ``lab.servers.Server`` for what each method is for."""

    @property
    def program(self) -> Program:
        return Program(name=NAME, ports=(NAME,), spec=_process)

    def binary(self) -> Path:
        return Path(sys.executable)

    def prepare(self, paths: Paths, stop: Callable[[], None]) -> None:
        """Prepare nothing: what it holds is in its memory, and goes with ``down``."""

    def advance(self, paths: Paths, ports: Ports) -> str | None:
        try:
            urllib3.request("GET", endpoint(ports), retries=False, timeout=2)
        except urllib3.exceptions.HTTPError as error:
            return str(error)
        return None

    def sealed(self, paths: Paths, ports: Ports) -> bool:
        return False

    def usage(self, paths: Paths, ports: Ports) -> tuple[str, ...]:
        # No secret: the server takes any key.
        return (
            f"export AWS_ENDPOINT_URL={endpoint(ports)}",
            "export AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab AWS_REGION=eu-central-1",
        )


AWS_PCA = AwsPcaServer()


def endpoint(ports: Ports) -> str:
    """Return its URL."""
    return f"http://{LOOPBACK}:{ports[NAME]}"


def faults(paths: Paths) -> Path:
    """Return the file that says by operation which error the server answers with."""
    return paths.directory / f"{NAME}-faults.json"


def _process(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    project = Path(__file__).parents[1]
    return ProcessSpec(
        name=NAME,
        argv=(
            # It is started elsewhere, with little of an environment.
            *("/usr/bin/env", f"PYTHONPATH={project}", str(binary), "-m", "lab.aws_pca_server"),
            *(str(ports[NAME]), str(faults(paths))),
        ),
        port=ports[NAME],
    )
