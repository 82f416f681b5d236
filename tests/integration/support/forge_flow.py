"""A team's repository and its runners: branches, merges, and the commands that workflows run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.project_copy import copy_tracked
from lab.pulumi_cli import Engine
from tests.integration.support.project import PROJECT
from tests.unit.ci.forge_server import TOKEN, ForgeServer

_AUTHOR = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
# What no command of a workflow reads.
_LEFT_OUT = ("tests/", "bench/", "lab/", "docs/")


def _of_the_program(name: str) -> bool:
    """Tell whether a file of the checkout is about no stack and read by a workflow's commands."""
    stack_file = name.startswith("Pulumi.") and name != "Pulumi.yaml"
    return not stack_file and not name.startswith((*_LEFT_OUT, "trust/"))


def git(place: Path, *arguments: str) -> str:
    """Run git in ``place``; return what it printed."""
    done = subprocess.run(
        ["git", *_AUTHOR, *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Pull:
    """A pull request that a forge has: its number, its head, and the merge that is previewed."""

    number: int
    head: str
    merge: str


@dataclass(kw_only=True)
class Flow:
    """One repository on a forge, and the runner of its jobs.

    Attributes:
        root: holds the repository and every job's checkout.
        forge: where the jobs post.
        engine: whose pulumi, home and backend the jobs use.
        environment: of every job, besides what the forge itself sets.
        printed: everything that jobs have printed.
    """

    root: Path
    forge: ForgeServer
    engine: Engine
    environment: Mapping[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    _jobs: int = 0
    _pulls: int = 0

    def __post_init__(self) -> None:
        """Make the repository, with the files of this one that are not about one stack."""
        self.repository.mkdir(parents=True)
        git(self.repository, "init", "-q", "-b", "main")
        # A forge serves merges that are on no branch.
        git(self.repository, "config", "uploadpack.allowAnySHA1InWant", "true")
        copy_tracked(self.repository, keep=_of_the_program)
        self.commit("The program")

    @property
    def repository(self) -> Path:
        """Whoever changes something works here, on a branch."""
        return self.root / "repository"

    @property
    def head(self) -> str:
        """The commit of the branch that is checked out."""
        return git(self.repository, "rev-parse", "HEAD")

    def commit(self, message: str) -> str:
        """Commit every change of the working directory; return the SHA."""
        git(self.repository, "add", "--all")
        git(self.repository, "commit", "-q", "-m", message)
        return self.head

    def branch(self, name: str) -> None:
        """Start a branch from main."""
        git(self.repository, "switch", "-q", "-c", name, "main")

    def open_pull(self) -> Pull:
        """Open a pull request of the present branch; the forge makes the merge that it tests."""
        head = self.head
        git(self.repository, "switch", "-q", "--detach", "main")
        git(self.repository, "merge", "-q", "--no-ff", "-m", "Test merge", head)
        self._pulls += 1
        pull = Pull(number=self._pulls, head=head, merge=self.head)
        git(self.repository, "switch", "-q", "main")
        return pull

    def merge(self, pull: Pull) -> str:
        """Merge it into main; return the commit that this makes."""
        message = f"Merge pull request #{pull.number}"
        git(self.repository, "merge", "-q", "--no-ff", "-m", message, pull.head)
        merged = self.head
        self.forge.merged[merged] = [pull.head]
        return merged

    def job(self, commit: str, kubeconfig: str, *arguments: str) -> tuple[int, Path]:
        """Run ``mtls-pki ci`` on a fresh checkout of ``commit``, as a workflow's job does.

        Returns:
            the exit status, and the checkout.
        """
        self._jobs += 1
        place = self.root / f"job-{self._jobs}"
        git(self.root, "clone", "-q", "--no-local", str(self.repository), str(place))
        git(place, "fetch", "-q", "origin", commit)
        git(place, "checkout", "-q", "--detach", commit)
        (place / ".venv").symlink_to(PROJECT / ".venv")
        environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            **self.engine.environment(),
            **self.forge.github(),
            **self.environment,
            "KUBECONFIG_TEXT": kubeconfig,
            "GITHUB_STEP_SUMMARY": str(place.with_suffix(".summary")),
        }
        stack = arguments[arguments.index("--stack") + 1]
        for command in (("kubeconfig", "--stack", stack), arguments):
            done = subprocess.run(
                [sys.executable, "-m", "mtls_pki", "ci", *command], cwd=place, env=environment,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            said = done.stdout + done.stderr
            self.printed.append(said)
            assert TOKEN not in said
            assert "Traceback" not in said, said
        return done.returncode, place
