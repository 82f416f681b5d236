"""What the commands need from a forge, whichever forge it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mtls_pki.errors import CommandError


@dataclass(frozen=True, kw_only=True)
class Status:
    """The outcome of one check of one commit.

    Attributes:
        context: name of the check; a later status of the same context replaces this one.
        passed: green or red.
        description: at most 140 characters (GitHub's limit).
    """

    context: str
    passed: bool
    description: str


class Forge(Protocol):
    """Comments, issues and statuses of one repository. Methods raise CommandError if refused."""

    def put_comment(self, number: int, marker: str, body: str) -> None:
        """Write ``body`` as the comment of change ``number`` that begins with ``marker``.

        There is one such comment of this identity: it is made once and then updated in place.
        """

    def put_issue(self, marker: str, title: str, body: str) -> None:
        """Write ``body`` as the open issue that begins with ``marker``: made once, then updated."""

    def close_issue(self, marker: str, reason: str) -> None:
        """Close the open issue whose text begins with ``marker``, if any, with a comment."""

    def set_status(self, commit: str, status: Status) -> None:
        """Record a status of a commit."""

    def previews_of(self, commit: str, context: str) -> tuple[Status, ...]:
        """Return the latest status ``context`` of the head of each change merged by ``commit``."""

    def changed_after(self, commit: str) -> tuple[str, ...] | None:
        """Return the paths that the branch of this run has changed since ``commit``.

        None if there are too many for the forge to list.
        """

    @property
    def repository(self) -> str:
        """Its name, for messages."""


def required(environment: Mapping[str, str], name: str) -> str:
    """Return a variable that the forge's runner sets.

    Raises:
        CommandError: it is missing or empty.
    """
    value = environment.get(name)
    if not value:
        raise CommandError(f"${name} is not set; give it to this step of the workflow")
    return value
