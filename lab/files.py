"""Files that are either whole or absent, and never readable by others."""

from __future__ import annotations

from pathlib import Path

from mtls_pki.files import write_whole


def write_private(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` (mode 0600), whole or not at all, making the directory (0700).

    A run that is killed in the middle leaves the earlier file as it was.

    Raises:
        OSError: the directory cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, content)
