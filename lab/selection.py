"""Which add-ons a control plane has: cert-manager always, the others by ``--with``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import helm, toolchain
from lab.addons import AWS_ISSUER, CERT_MANAGER, STEP_ISSUER, TRUST_MANAGER, Addon
from lab.aws_pca import AWS_PCA
from lab.errors import LabError
from lab.node import NODE
from lab.programs import PROGRAMS, Program
from lab.servers import Server
from lab.step_ca import STEP_CA
from lab.vault import VAULT

_ADDONS: Mapping[str, Addon] = {
    addon.name: addon for addon in (TRUST_MANAGER, STEP_ISSUER, AWS_ISSUER, NODE)
}
_SERVERS: Mapping[str, Server] = {
    server.program.name: server for server in (VAULT, STEP_CA, AWS_PCA)
}

# Choices of `--with`; cert-manager always runs.
OPTIONAL: tuple[str, ...] = (*_ADDONS, *_SERVERS)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What runs on top of a control plane and next to it, each in order of starting."""

    addons: tuple[Addon, ...]
    servers: tuple[Server, ...]

    @property
    def programs(self) -> tuple[Program, ...]:
        """Everything that runs, Kubernetes included, in order of starting."""
        return (
            *PROGRAMS,
            *(addon.program for addon in self.addons),
            *(server.program for server in self.servers),
        )

    def binaries(self) -> dict[str, Path]:
        """The binary of each of ``programs``, built first where it is missing, and Helm.

        Raises:
            LabError: one cannot be had.
        """
        built = (*(p.name for p in PROGRAMS), *(addon.name for addon in self.addons))
        # Helm too, which renders the charts of the add-ons later: all builds come first.
        found = toolchain.ensure(*built, helm.NAME)
        return {**found, **{server.program.name: server.binary() for server in self.servers}}


def selected(names: Iterable[str]) -> Selection:
    """cert-manager and the optional add-ons ``names``, each once.

    Raises:
        LabError: there is no such add-on.
    """
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in OPTIONAL:
            known = ", ".join(OPTIONAL)
            raise LabError(f"there is no add-on {name!r} in the lab: choose from {known}")
    return Selection(
        addons=(CERT_MANAGER, *(_ADDONS[name] for name in wanted if name in _ADDONS)),
        servers=tuple(_SERVERS[name] for name in wanted if name in _SERVERS),
    )
