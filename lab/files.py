"""Files that are either whole or absent, and never readable by others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def write_private(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` (mode 0600), whole or not at all, making the directory (0700).

    A run that is killed in the middle leaves the earlier file as it was.

    Raises:
        OSError: the directory cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
        # mkstemp makes the file 0600 already, whatever the umask.
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
