"""Where this runs: the forge's runner or a person's shell, and what each can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtls_pki.ci.forge import Forge
from mtls_pki.ci.github import GitHub
from mtls_pki.ci.gitlab import GitLab


def open_forge(environment: Mapping[str, str]) -> Forge | None:
    """Return the forge that runs this; None in a person's shell, where pages are only written.

    Raises:
        CommandError: the runner lacks what talking to its forge needs.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        return GitHub(environment)
    if environment.get("GITLAB_CI") == "true":
        return GitLab(environment)
    return None


def on_a_runner(environment: Mapping[str, str]) -> bool:
    """Return whether a forge's runner runs this, and not a person."""
    return "true" in (environment.get("GITHUB_ACTIONS"), environment.get("GITLAB_CI"))


def give_output(environment: Mapping[str, str], name: str, value: str) -> None:
    """Hand a one-line value to later jobs, where the runner takes such (``$GITHUB_OUTPUT``)."""
    _append(environment.get("GITHUB_OUTPUT"), f"{name}={value}\n")


def add_summary(environment: Mapping[str, str], markdown: str) -> None:
    """Add a page to the run's own, where the runner has one (``$GITHUB_STEP_SUMMARY``)."""
    _append(environment.get("GITHUB_STEP_SUMMARY"), markdown)


def _append(path: str | None, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
