"""A forge on loopback: as much of GitHub's and of GitLab's REST API as the commands use.

It answers as the two document it: pages with ``Link`` headers, GitHub's newest status first,
GitLab's own field names. State is shared, so a test reads one list of comments whichever it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import serving

TOKEN = "forge-token-5d1f"  # noqa: S105 of a server on loopback
PAGE = 2


@dataclass(kw_only=True)
class Note:
    """A comment or an issue."""

    identity: int
    title: str = ""
    body: str = ""
    ours: bool = True
    open: bool = True
    comments: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ForgeServer:
    """What the forge holds.

    Attributes:
        comments: by number of the change, oldest first.
        issues: oldest first.
        statuses: of each commit, oldest first: (context, passed, description).
        merged: heads of the changes that a commit merged.
        later: paths that the branch has changed since a commit; None for more than it lists.
        requests: method and path of each request.
        refuse: (method, part of the path) -> status, to refuse some requests.
    """

    url: str
    comments: dict[int, list[Note]] = field(default_factory=dict)
    issues: list[Note] = field(default_factory=list)
    statuses: dict[str, list[tuple[str, bool, str]]] = field(default_factory=dict)
    merged: dict[str, list[str]] = field(default_factory=dict)
    later: dict[str, list[str] | None] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuse: dict[tuple[str, str], int] = field(default_factory=dict)
    made: int = 100

    def github(self) -> dict[str, str]:
        """The environment of a job on GitHub."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"{self.url}/github",
            "GITHUB_REPOSITORY": "team/mtls-pki",
            "GITHUB_REF_NAME": "main",
            "GITHUB_TOKEN": TOKEN,
        }

    def gitlab(self) -> dict[str, str]:
        """The environment of a job on GitLab."""
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{self.url}/gitlab",
            "CI_PROJECT_ID": "7",
            "CI_COMMIT_BRANCH": "main",
            "CI_PROJECT_PATH": "team/mtls-pki",
            "GITLAB_TOKEN": TOKEN,
        }

    def note(self, **fields: Any) -> Note:
        """Make a note with a new identity."""
        self.made += 1
        return Note(identity=self.made, **fields)

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        """Return what is sent as JSON; None for 404."""
        if path.startswith("/github/repos/team/mtls-pki/"):
            return self._github(method, path.removeprefix("/github/repos/team/mtls-pki"), body)
        if path == "/gitlab/user":
            return {"id": 1}
        if path.startswith("/gitlab/projects/7/"):
            return self._gitlab(method, path.removeprefix("/gitlab/projects/7"), query, body)
        return None

    def _github(self, method: str, path: str, body: dict[str, Any]) -> Any:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "issues", number, "comments"]:
                return [_github(each) for each in self.comments.get(int(number), [])]
            case ["POST", "issues", number, "comments"]:
                return self._comment(int(number), body["body"], _github)
            case ["PATCH", "issues", "comments", identity]:
                return _github(self._edit(self._all_comments(), identity, body["body"]))
            case ["GET", "issues"]:
                pull = {**_github(self.note(body="")), "pull_request": {}}
                return [pull, *(_github(each) for each in self.issues if each.open)]
            case ["POST", "issues"]:
                self.issues.append(self.note(title=body["title"], body=body["body"]))
                return _github(self.issues[-1])
            case ["PATCH", "issues", identity]:
                note = self._edit(self.issues, identity, body.get("body"))
                note.open = body.get("state", "open") == "open"
                return _github(note)
            case ["POST", "statuses", commit]:
                passed = body["state"] == "success"
                return self._status(commit, body["context"], passed, body["description"])
            case ["GET", "compare", between]:
                commit = between.removesuffix("...main")
                paths = self.later.get(commit, [])
                files = [f"docs/{n}.md" for n in range(300)] if paths is None else paths
                return {"files": [{"filename": path, "previous_filename": path} for path in files]}
            case ["GET", "commits", commit, "pulls"]:
                heads = self.merged.get(commit, [])
                merged = [{"merged_at": "2026-11-23T00:00:00Z", "head": {"sha": h}} for h in heads]
                return [{"merged_at": None, "head": {"sha": "0" * 40}}, *merged]
            case ["GET", "commits", commit, "statuses"]:
                return [
                    {
                        "context": name,
                        "state": "success" if passed else "failure",
                        "description": text,
                    }
                    for name, passed, text in reversed(self.statuses.get(commit, []))
                ]
        return None

    def _gitlab(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "merge_requests", number, "notes"]:
                return [_gitlab(each) for each in self.comments.get(int(number), [])]
            case ["POST", "merge_requests", number, "notes"]:
                return self._comment(int(number), body["body"], _gitlab)
            case ["PUT", "merge_requests", _, "notes", identity]:
                return _gitlab(self._edit(self._all_comments(), identity, body["body"]))
            case ["GET", "issues"]:
                return [_gitlab(each) for each in self.issues if each.open]
            case ["POST", "issues"]:
                self.issues.append(self.note(title=body["title"], body=body["description"]))
                return _gitlab(self.issues[-1])
            case ["POST", "issues", identity, "notes"]:
                self._edit(self.issues, identity, None).comments.append(body["body"])
                return {}
            case ["PUT", "issues", identity]:
                note = self._edit(self.issues, identity, body.get("description"))
                note.open = body.get("state_event") != "close"
                return _gitlab(note)
            case ["POST", "statuses", commit]:
                passed = body["state"] == "success"
                return self._status(commit, body["name"], passed, body["description"])
            case ["GET", "repository", "compare"]:
                assert query["to"] == "main"
                paths = self.later.get(query["from"], [])
                diffs = [{"new_path": path, "old_path": path} for path in paths or []]
                return {"compare_timeout": paths is None, "diffs": diffs}
            case ["GET", "repository", "commits", commit, "merge_requests"]:
                heads = [{"state": "merged", "sha": h} for h in self.merged.get(commit, [])]
                return [{"state": "closed", "sha": "0" * 40}, *heads]
            case ["GET", "repository", "commits", commit, "statuses"]:
                latest = {name: (ok, text) for name, ok, text in self.statuses.get(commit, [])}
                return [
                    {"name": name, "status": "success" if ok else "failed", "description": text}
                    for name, (ok, text) in latest.items()
                    if name == query["name"]
                ]
        return None

    def _all_comments(self) -> list[Note]:
        return [*self.issues, *(each for notes in self.comments.values() for each in notes)]

    def _comment(self, number: int, body: str, show: Any) -> Any:
        for issue in self.issues:
            if issue.identity == number:
                issue.comments.append(body)
                return {}
        note = self.note(body=body)
        self.comments.setdefault(number, []).append(note)
        return show(note)

    def _edit(self, notes: list[Note], identity: str, body: str | None) -> Note:
        note = next(each for each in notes if each.identity == int(identity))
        note.body = note.body if body is None else body
        return note

    def _status(self, commit: str, context: str, passed: bool, description: str) -> Any:
        assert len(description) <= 140
        self.statuses.setdefault(commit, []).append((context, passed, description))
        return {}


def _github(note: Note) -> dict[str, Any]:
    return {
        "id": note.identity,
        "number": note.identity,
        "title": note.title,
        "body": note.body,
        "user": {"type": "Bot" if note.ours else "User"},
    }


def _gitlab(note: Note) -> dict[str, Any]:
    return {
        "id": note.identity,
        "iid": note.identity,
        "title": note.title,
        "body": note.body,
        "description": note.body,
        "author": {"id": 1 if note.ours else 2},
    }


@contextmanager
def serve() -> Iterator[ForgeServer]:
    """Serve on a free loopback port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            forge.requests.append(f"{self.command} {path}")
            given = self.headers.get("Authorization"), self.headers.get("PRIVATE-TOKEN")
            if given not in ((f"Bearer {TOKEN}", None), (None, TOKEN)):
                self._send(401, {"message": "Bad credentials"}, {})
                return
            for (method, part), status in forge.refuse.items():
                if method == self.command and part in path:
                    self._send(status, {"message": "Resource not\naccessible"}, {})
                    return
            answer = forge.answer(self.command, path, query, body)
            if answer is None:
                self._send(404, {"message": "Not Found"}, {})
            elif isinstance(answer, list):
                self._send_page(parts.path, query, answer)
            else:
                self._send(200, answer, {})

        do_GET = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815 the base's names

        def _send_page(self, path: str, query: dict[str, str], items: list[Any]) -> None:
            page = int(query.get("page", "1"))
            kept = "&".join(f"{k}={v}" for k, v in query.items() if k != "page")
            following = f'<{forge.url}{path}?{kept}&page={page + 1}>; rel="next"'
            more = {"Link": following} if len(items) > page * PAGE else {}
            self._send(200, items[(page - 1) * PAGE : page * PAGE], more)

        def _send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    with serving(Handler) as url:
        forge = ForgeServer(url=url)
        yield forge
