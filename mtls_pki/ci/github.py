"""GitHub's REST API (version 2022-11-28)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from mtls_pki.ci.forge import Status, required
from mtls_pki.ci.http import JsonApi

# The most files that one comparison lists.
_FILES = 300
_REMEDY = "give the job the permission that docs/review-workflows.md names for this step"


class GitHub:
    """One repository on GitHub; see :class:`mtls_pki.ci.forge.Forge`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take ``GITHUB_API_URL``, ``GITHUB_REPOSITORY`` and ``GITHUB_TOKEN``.

        For :meth:`changed_after` also ``GITHUB_REF_NAME``.

        Raises:
            CommandError: one of them is missing.
        """
        self._environment = environment
        self.repository = required(environment, "GITHUB_REPOSITORY")
        token = required(environment, "GITHUB_TOKEN")
        self._api = JsonApi(
            f"{required(environment, 'GITHUB_API_URL')}/repos/{self.repository}",
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            remedy=_REMEDY,
        )

    def put_comment(self, number: int, marker: str, body: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        found = _marked(self._api.pages(f"/issues/{number}/comments"), marker)
        if found is None:
            self._api.call("POST", f"/issues/{number}/comments", {"body": body})
        elif found["body"] != body:
            self._api.call("PATCH", f"/issues/comments/{found['id']}", {"body": body})

    def put_issue(self, marker: str, title: str, body: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        found = self._open_issue(marker)
        if found is None:
            self._api.call("POST", "/issues", {"title": title, "body": body})
        elif found["body"] != body:
            self._api.call("PATCH", f"/issues/{found['number']}", {"title": title, "body": body})

    def close_issue(self, marker: str, reason: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        found = self._open_issue(marker)
        if found is not None:
            place = f"/issues/{found['number']}"
            self._api.call("POST", f"{place}/comments", {"body": reason})
            self._api.call("PATCH", place, {"state": "closed"})

    def set_status(self, commit: str, status: Status) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        self._api.call(
            "POST",
            f"/statuses/{commit}",
            {
                "context": status.context,
                "state": "success" if status.passed else "failure",
                "description": status.description,
            },
        )

    def previews_of(self, commit: str, context: str) -> tuple[Status, ...]:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        changes = [
            change
            for change in self._api.pages(f"/commits/{commit}/pulls")
            if change.get("merged_at")
        ]
        found = (self._latest(change["head"]["sha"], context) for change in changes)
        return tuple(status for status in found if status is not None)

    def changed_after(self, commit: str) -> tuple[str, ...] | None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        branch = quote(required(self._environment, "GITHUB_REF_NAME"), safe="")
        files = self._api.call("GET", f"/compare/{commit}...{branch}")["files"]
        if len(files) >= _FILES:
            return None
        names = (each.get(key) for each in files for key in ("filename", "previous_filename"))
        return tuple(name for name in names if name)

    def _latest(self, commit: str, context: str) -> Status | None:
        # Newest first, as GitHub documents it.
        for each in self._api.pages(f"/commits/{commit}/statuses"):
            if each["context"] == context:
                return Status(
                    context=context,
                    passed=each["state"] == "success",
                    description=each["description"] or "",
                )
        return None

    def _open_issue(self, marker: str) -> dict[str, Any] | None:
        issues = self._api.pages("/issues?state=open")
        return _marked((each for each in issues if "pull_request" not in each), marker)


def _marked(items: Iterable[dict[str, Any]], marker: str) -> dict[str, Any] | None:
    """Return the first item that begins with the marker and was written by a machine.

    Anybody can write a comment that begins like ours. It does not count as ours, because its author
    could change it afterwards.
    """
    for item in items:
        if (item.get("body") or "").startswith(marker) and item["user"]["type"] == "Bot":
            return item
    return None
