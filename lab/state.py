"""What one control plane remembers between starts: its ports and its add-ons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.files import write_private


@dataclass(frozen=True, kw_only=True)
class State:
    """Attributes:
    ports: TCP port by purpose, such as ``kube-apiserver``.
    addons: the names given with ``--with``; an ``up`` without it keeps them.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    addons: tuple[str, ...] = ()


def load(path: Path) -> State:
    """The state in ``path``; the empty one if there is no such file.

    Raises:
        LabError: the file is not what ``save`` writes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ports = {str(name): int(port) for name, port in content["ports"].items()}
        return State(ports=ports, addons=tuple(map(str, content["addons"])))
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"{path} is damaged ({error}); remove {path.parent} and run `python -m lab up` again"
        ) from error


def save(path: Path, state: State) -> None:
    """Write ``state``, whole or not at all."""
    content = {"ports": dict(sorted(state.ports.items())), "addons": list(state.addons)}
    write_private(path, json.dumps(content, indent=2) + "\n")
