"""The second kind of add-on: a server next to the control plane, with data of its own.

Unlike those of ``lab.addons`` it is no client of the API server: it brings no CRDs, no RBAC and no
webhook. But it may have to be unsealed after its start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lab.paths import Paths
from lab.programs import Ports, Program


class Server(Protocol):
    """One server that ``lab up --with`` runs next to a control plane."""

    @property
    def program(self) -> Program:
        """Its process; the name is that of its choice for ``--with``."""

    def binary(self) -> Path:
        """What runs.

        Raises:
            LabError: it is not installed.
        """

    def prepare(self, paths: Paths, stop: Callable[[], None]) -> None:
        """Make what it needs before it starts; ``stop`` ends it where that must come first."""

    def advance(self, paths: Paths, ports: Ports) -> str | None:
        """Take the next step towards ready; what is still missing, or None if it is ready.

        Raises:
            LabError: no step leads there; the message names the way out.
        """

    def sealed(self, paths: Paths, ports: Ports) -> bool:
        """Whether it answers, but serves nobody until the next ``up``."""

    def usage(self, paths: Paths, ports: Ports) -> tuple[str, ...]:
        """Shell lines with which a client finds it, without a secret in them."""
