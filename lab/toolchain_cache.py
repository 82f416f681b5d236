"""Where built tools lie: a directory per tool, named after the content of its build definition.

``CACHE/NAME-KEY/bin`` and ``.../share`` hold a finished tool and are never changed again.
``CACHE/building/NAME-KEY`` is an unfinished one, ``CACHE/logs`` the output of the builds, and
``CACHE/locks`` what keeps two processes from building the same tool.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.toolchain_table import Part, Tool

DEFINITIONS = Path(__file__).parent / "tools"

# Bumped when the builder itself comes to produce something else from the same definition.
_BUILDER = "1"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The place in the cache of one tool with the present content of its definition."""

    tool: Tool
    definition: Path
    cache: Path
    key: str

    @property
    def _label(self) -> str:
        return f"{self.tool.name}-{self.key}"

    @property
    def directory(self) -> Path:
        """The finished tool; it exists whole or not at all."""
        return self.cache / self._label

    @property
    def building(self) -> Path:
        return self.cache / "building" / self._label

    @property
    def log(self) -> Path:
        return self.cache / "logs" / f"{self._label}.log"

    @property
    def lock(self) -> Path:
        return self.cache / "locks" / f"{self._label}.lock"

    @property
    def share(self) -> Path:
        return self.directory / "share"

    @property
    def built(self) -> bool:
        return self.directory.is_dir()

    def binary(self, name: str) -> Path:
        return self.directory / "bin" / name


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache directory: ``$MTLS_PKI_TOOL_CACHE``, else the user's cache directory (XDG)."""
    if own := environment.get("MTLS_PKI_TOOL_CACHE"):
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "mtls-pki-tools"


def slot(tool: Tool, *, cache: Path, definitions: Path = DEFINITIONS) -> Slot:
    """The place of a tool, by the content of its definition, its row and this machine's kind.

    Raises:
        OSError: the definition cannot be read.
    """
    digest = hashlib.sha256()

    def add(*parts: bytes) -> None:
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)

    machine = platform.system(), platform.machine()
    add(repr((_BUILDER, machine, *map(_plain, tool.parts))).encode())
    directory = definitions / tool.name
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        add(path.relative_to(directory).as_posix().encode(), path.read_bytes())
    return Slot(tool=tool, definition=directory, cache=cache, key=digest.hexdigest()[:12])


def _plain(part: Part) -> dict[str, object]:
    """The fields of a part, in a form whose ``repr`` depends on their values alone."""
    values = {item.name: getattr(part, item.name) for item in dataclasses.fields(part)}
    return {
        name: sorted(value.items()) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
