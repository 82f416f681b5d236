"""Temporary directories that are gone with all that is in them, whoever is killed.

For what others write there and leave: pulumi-kubernetes a copy of each kubeconfig that it is given
as a path, the Kubernetes client for Python the key of a kubeconfig while its process lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OWNED = "mtls-pki-private-"
"""How the name of such a directory begins."""


@dataclass(frozen=True, kw_only=True)
class PrivateDirectory:
    """A directory that only its maker may enter.

    Attributes:
        path: of the directory.
        lock: open descriptor that holds its lock. Processes that inherit it keep the directory
            from being taken for abandoned when its maker is killed and they live on.
    """

    path: Path
    lock: int


@contextlib.contextmanager
def private_directory(parent: Path) -> Iterator[PrivateDirectory]:
    """Make a directory in ``parent``, and remove it with all that is in it at the end.

    What makers left there that were killed is removed first.

    Raises:
        OSError: it cannot be made.
    """
    remove_abandoned(parent)
    made = _make(parent)
    try:
        yield made
    finally:
        _remove(made.path)
        os.close(made.lock)


def remove_abandoned(parent: Path) -> None:
    """Remove the directories in ``parent`` whose makers were killed."""
    for path in parent.glob(f"{OWNED}*"):
        _remove_unless_held(path)


def _make(parent: Path) -> PrivateDirectory:
    while True:
        path = Path(tempfile.mkdtemp(dir=parent, prefix=OWNED))
        # Before it is locked, another maker may take it for abandoned.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return PrivateDirectory(path=path, lock=lock)
            os.close(lock)


def _remove_unless_held(path: Path) -> None:
    """Remove a directory of this user that no process holds."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # Gone in the meantime, or none of ours.
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
    except BlockingIOError:
        pass  # In use.
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    # A process of a run that was killed may still write there; the next run removes what it wrote.
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
        shutil.rmtree(path)
