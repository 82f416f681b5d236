"""Where this runs, on a forge's runner or in a person's shell, and how to give it results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtls_pki.ci.forge import Forge
from mtls_pki.ci.github import GitHub
from mtls_pki.ci.gitlab import GitLab


def open_forge(environment: Mapping[str, str]) -> Forge | None:
    """Return the forge that runs this; None in a person's shell, where nothing is posted.

    Raises:
        CommandError: a variable that is needed to talk to the forge is missing.
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
    """Give later jobs a one-line value, if the runner has a place for it (``$GITHUB_OUTPUT``)."""
    _append(environment.get("GITHUB_OUTPUT"), f"{name}={value}\n")


def add_summary(environment: Mapping[str, str], markdown: str) -> None:
    """Add a page to the summary of the run, if the runner has one (``$GITHUB_STEP_SUMMARY``)."""
    _append(environment.get("GITHUB_STEP_SUMMARY"), markdown)


def _append(path: str | None, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
