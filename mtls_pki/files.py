"""Files that are whole or absent, whenever a program that writes one is killed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

PRIVATE = 0o600
"""Mode of a file that nobody else may read."""


def write_whole(path: Path, content: str | bytes, *, mode: int = PRIVATE) -> None:
    """Write ``content`` to ``path`` in one step: a reader sees the old file or the new one.

    Text becomes UTF-8, its line ends as they are.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    _staged(path, content, mode, lambda temporary: temporary.replace(path))


def write_new(
    path: Path,
    content: str | bytes,
    *,
    mode: int = PRIVATE,
    check: Callable[[Path], object] = lambda _: None,
) -> None:
    """Write ``content`` to ``path`` in one step, never over a file that is there.

    Args:
        path: of the file; text becomes UTF-8, its line ends as they are.
        content: of the file.
        mode: of the file.
        check: is given the written file before it gets its name, and raises if it is not good.

    Raises:
        FileExistsError: there is a file of that name.
        OSError: it cannot be written.
    """

    def link(temporary: Path) -> None:
        check(temporary)
        # Unlike a rename, a link does not replace what is there.
        path.hardlink_to(temporary)

    _staged(path, content, mode, link)


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def _staged(path: Path, content: str | bytes, mode: int, finish: Callable[[Path], object]) -> None:
    # In the same directory, for only there can it take its name in one step.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        finish(temporary)
    finally:
        temporary.unlink(missing_ok=True)
