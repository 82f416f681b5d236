"""What git knows about a change."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mtls_pki.errors import CommandError


def changed_paths(base: str, head: str) -> tuple[str, ...]:
    """Return the paths that differ between ``head`` and the point where it left ``base``.

    A renamed file counts with both names.

    Raises:
        CommandError: git does not know one of the commits.
    """
    out = _git("diff", "--name-only", "--no-renames", "-z", f"{base}...{head}", "--")
    return tuple(filter(None, out.split("\0")))


def commit(revision: str) -> str:
    """Return the full SHA of a revision.

    Raises:
        CommandError: git does not know it.
    """
    return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()


def tree(revision: str) -> str:
    """Return the SHA of all files of a revision: equal for commits that hold the same files.

    Raises:
        CommandError: git does not know it.
    """
    return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{tree}}").strip()


def uncommitted() -> tuple[str, ...]:
    """Return the paths that differ from the commit that is checked out, without ignored files.

    Raises:
        CommandError: this is not a repository.
    """
    return tuple(_git("status", "--porcelain").splitlines())


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Yield a directory with the files of a revision; it is removed afterwards.

    Raises:
        CommandError: git does not know it.
    """
    with tempfile.TemporaryDirectory(prefix="mtls-pki-base-") as directory:
        place = Path(directory) / "files"
        _git("worktree", "add", "--quiet", "--detach", str(place), commit(revision))
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise CommandError(
            f"`git {' '.join(arguments)}` failed: {said[0]}; fetch the whole history "
            "(actions/checkout: fetch-depth: 0; GitLab: GIT_DEPTH: 0) and name commits of it"
        )
    return done.stdout
