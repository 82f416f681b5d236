"""The engine that ``make up`` made ready for this project, where no other is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mtls_pki.errors import CommandError

RECORD = Path(".lab") / "engine.json"
"""Where ``make up`` writes it: ``path``, directories that come first, and ``environment``."""


def local_environment(directory: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which ``pulumi`` is that engine, and has its stacks.

    Args:
        directory: of the project.
        inherited: variables of the caller, which count more, except that ``PATH`` gets longer.

    Returns:
        the variables, none where ``make up`` was never run.

    Raises:
        CommandError: the record cannot be read.
    """
    file = directory / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        path = [*map(str, record["path"]), inherited.get("PATH", os.defpath)]
        own = {str(name): str(value) for name, value in record["environment"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"{file} cannot be read; `make up` writes it anew") from None
    kept = {name: value for name, value in own.items() if name not in inherited}
    return {**kept, "PATH": os.pathsep.join(path)}
