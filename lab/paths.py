"""The files of one control plane, all below ``DIRECTORY/NAME/``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

DEFAULT_NAME = "dev"
# A name becomes a directory, a kubeconfig context and part of certificate names (RFC 1123 label).
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Paths of the control plane ``name`` below ``root``; nothing is created here."""

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(
                f"{self.name!r} cannot be the name of a control plane: "
                "use at most 40 lower-case letters, digits and '-', such as 'dev-2'"
            )

    @property
    def directory(self) -> Path:
        return self.root.absolute() / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; its one context is called like the control plane."""
        return self.directory / "kubeconfig"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def lock(self) -> Path:
        """Next to the directory, so that whoever waits still finds it once the data are removed."""
        return self.root.absolute() / f".{self.name}.lock"

    @property
    def data(self) -> Path:
        """etcd's data; survives ``down``, goes with ``down --purge``."""
        return self.directory / "etcd"

    def log(self, process: str) -> Path:
        return self.directory / "logs" / f"{process}.log"

    def pid_file(self, process: str) -> Path:
        return self.directory / "pids" / f"{process}.json"

    def pid_files(self) -> dict[str, Path]:
        """The pid files that exist, by process name."""
        return {path.stem: path for path in sorted((self.directory / "pids").glob("*.json"))}

    def secret(self, name: str) -> Path:
        """A file of the control plane's own PKI, or a component's kubeconfig."""
        return self.directory / "pki" / name


def default_names(count: int) -> tuple[str, ...]:
    """``dev``, ``dev-2``, ``dev-3``, ...

    Raises:
        LabError: ``count`` is below one.
    """
    if count < 1:
        raise LabError(f"--clusters {count}: give a number of 1 or more")
    return (DEFAULT_NAME, *(f"{DEFAULT_NAME}-{number}" for number in range(2, count + 1)))


def existing(root: Path) -> tuple[str, ...]:
    """Names of the control planes that were ever started below ``root``, in a stable order."""
    return tuple(sorted(path.parent.name for path in root.glob("*/state")))


def chosen(root: Path, names: Iterable[str]) -> tuple[Paths, ...]:
    """The paths of ``names``, or of every existing control plane when none is named.

    Raises:
        LabError: a name that does not exist, with those that do.
    """
    present = existing(root)
    wanted = tuple(names) or present
    for name in wanted:
        if name not in present:
            raise LabError(
                f"there is no control plane {name!r} in {root}: "
                + (f"there are {', '.join(present)}" if present else "none was started")
            )
    return tuple(Paths(root=root, name=name) for name in wanted)
