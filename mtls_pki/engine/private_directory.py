"""The temporary directory of one run of the engine, gone with all that plugins left in it.

pulumi-kubernetes writes a copy of each kubeconfig that it is given as a path, credentials included,
to the temporary directory and never removes it (provider.go, ``Configure``: the file is for Helm).
Nothing tells the provider not to, so its temporary directory is one that somebody else removes.
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

from mtls_pki.engine.kubeconfig_copies import OWNED


@dataclass(frozen=True, kw_only=True)
class PrivateDirectory:
    """A directory that only its maker may enter, and that exists for one run.

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
    for path in parent.glob(f"{OWNED}*"):
        _remove_abandoned(path)
    made = _make(parent)
    try:
        yield made
    finally:
        _remove(made.path)
        os.close(made.lock)


def _make(parent: Path) -> PrivateDirectory:
    while True:
        path = Path(tempfile.mkdtemp(dir=parent, prefix=OWNED))
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Before it was locked, another maker may have taken it for abandoned.
        if path.exists():
            return PrivateDirectory(path=path, lock=lock)
        os.close(lock)


def _remove_abandoned(path: Path) -> None:
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
