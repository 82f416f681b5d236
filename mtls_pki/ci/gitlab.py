"""GitLab's REST API (version 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from mtls_pki.ci.forge import Status, required
from mtls_pki.ci.http import JsonApi

_REMEDY = "give GITLAB_TOKEN a project access token of scope api and role Developer"


class GitLab:
    """One project on GitLab; see :class:`mtls_pki.ci.forge.Forge`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take ``CI_API_V4_URL``, ``CI_PROJECT_ID`` and ``GITLAB_TOKEN``.

        ``CI_JOB_TOKEN`` is not enough: it may not write notes. :meth:`changed_after` also needs
        ``CI_COMMIT_BRANCH``.

        Raises:
            CommandError: one of them is missing.
        """
        self._environment = environment
        project = quote(required(environment, "CI_PROJECT_ID"), safe="")
        self.repository = environment.get("CI_PROJECT_PATH") or project
        base = required(environment, "CI_API_V4_URL")
        headers = {"PRIVATE-TOKEN": required(environment, "GITLAB_TOKEN")}
        self._user = JsonApi(base, headers, remedy=_REMEDY)
        self._api = JsonApi(f"{base}/projects/{project}", headers, remedy=_REMEDY)

    def put_comment(self, number: int, marker: str, body: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        place = f"/merge_requests/{number}/notes"
        found = self._own(self._api.pages(place), "body", marker)
        if found is None:
            self._api.call("POST", place, {"body": body})
        elif found["body"] != body:
            self._api.call("PUT", f"{place}/{found['id']}", {"body": body})

    def put_issue(self, marker: str, title: str, body: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        found = self._open_issue(marker)
        if found is None:
            self._api.call("POST", "/issues", {"title": title, "description": body})
        elif found["description"] != body:
            self._api.call("PUT", f"/issues/{found['iid']}", {"title": title, "description": body})

    def close_issue(self, marker: str, reason: str) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        found = self._open_issue(marker)
        if found is not None:
            place = f"/issues/{found['iid']}"
            self._api.call("POST", f"{place}/notes", {"body": reason})
            self._api.call("PUT", place, {"state_event": "close"})

    def set_status(self, commit: str, status: Status) -> None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        self._api.call(
            "POST",
            f"/statuses/{commit}",
            {
                "name": status.context,
                "state": "success" if status.passed else "failed",
                "description": status.description,
            },
        )

    def previews_of(self, commit: str, context: str) -> tuple[Status, ...]:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        changes = [
            change
            for change in self._api.pages(f"/repository/commits/{commit}/merge_requests")
            if change["state"] == "merged"
        ]
        found = (self._latest(change["sha"], context) for change in changes)
        return tuple(status for status in found if status is not None)

    def changed_after(self, commit: str) -> tuple[str, ...] | None:
        """See :class:`mtls_pki.ci.forge.Forge`."""
        branch = quote(required(self._environment, "CI_COMMIT_BRANCH"), safe="")
        found = self._api.call("GET", f"/repository/compare?from={commit}&to={branch}")
        if found["compare_timeout"]:
            return None
        names = (each[key] for each in found["diffs"] for key in ("new_path", "old_path"))
        return tuple(dict.fromkeys(names))

    def _latest(self, commit: str, context: str) -> Status | None:
        path = f"/repository/commits/{commit}/statuses?name={quote(context, safe='')}"
        # Without `all`, GitLab gives only the latest of each name.
        for each in self._api.pages(path):
            return Status(
                context=context,
                passed=each["status"] == "success",
                description=each["description"] or "",
            )
        return None

    def _open_issue(self, marker: str) -> dict[str, Any] | None:
        return self._own(self._api.pages("/issues?state=opened"), "description", marker)

    def _own(
        self, items: Iterable[dict[str, Any]], field: str, marker: str
    ) -> dict[str, Any] | None:
        """Return the first item that begins with the marker and was written by this identity."""
        me = self._user.call("GET", "/user")["id"]
        for item in items:
            if (item.get(field) or "").startswith(marker) and item["author"]["id"] == me:
                return item
        return None
