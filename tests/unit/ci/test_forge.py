"""Comments, issues and statuses, on both forges."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from mtls_pki.ci.forge import Forge, Status
from mtls_pki.ci.http import JsonApi
from mtls_pki.ci.runner import open_forge
from mtls_pki.errors import CommandError
from tests.loopback import serving
from tests.unit.ci.forge_server import TOKEN, ForgeServer, serve

MARKER = "<!-- mtls-pki review: dev -->"
CONTEXT = "mtls-pki/preview/dev"
HEAD, MERGE = "a" * 40, "b" * 40


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    with serve() as forge:
        yield forge


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest, server: ForgeServer) -> Forge:
    opened = open_forge(getattr(server, request.param)())
    assert opened is not None
    return opened


def bodies(server: ForgeServer, number: int = 5) -> list[str]:
    return [note.body for note in server.comments[number]]


def test_one_comment_is_made_and_then_updated_in_place(server: ForgeServer, forge: Forge) -> None:
    # More of other people's comments than one page holds.
    server.comments[5] = [server.note(body=f"nice {n}", ours=False) for n in range(5)]
    for page in ("first", "second"):
        forge.put_comment(5, MARKER, f"{MARKER}\n{page}")
    assert bodies(server) == [*(f"nice {n}" for n in range(5)), f"{MARKER}\nsecond"]
    forge.put_comment(5, MARKER.replace("dev", "prod"), f"{MARKER.replace('dev', 'prod')}\nprod")
    assert len(bodies(server)) == 7


def test_an_equal_comment_is_not_written_again(server: ForgeServer, forge: Forge) -> None:
    forge.put_comment(5, MARKER, f"{MARKER}\nsame")
    before = len(server.requests)
    forge.put_comment(5, MARKER, f"{MARKER}\nsame")
    assert all(request.startswith("GET ") for request in server.requests[before:])


def test_a_comment_of_somebody_else_is_not_taken_for_ours(
    server: ForgeServer, forge: Forge
) -> None:
    server.comments[5] = [server.note(body=f"{MARKER}\nall is well", ours=False)]
    forge.put_comment(5, MARKER, f"{MARKER}\nrefused")
    assert bodies(server) == [f"{MARKER}\nall is well", f"{MARKER}\nrefused"]


def test_one_issue_is_opened_updated_closed_and_opened_again(
    server: ForgeServer, forge: Forge
) -> None:
    for text in ("one", "two"):
        forge.put_issue(MARKER, "Drift of stack dev", f"{MARKER}\n{text}")
    (issue,) = server.issues
    assert (issue.title, issue.body) == ("Drift of stack dev", f"{MARKER}\ntwo")
    forge.close_issue(MARKER, "over")
    assert (issue.open, issue.comments) == (False, ["over"])
    forge.close_issue(MARKER, "over")
    forge.put_issue(MARKER, "Drift of stack dev", f"{MARKER}\nthree")
    assert [each.open for each in server.issues] == [False, True]


def test_the_latest_preview_of_what_a_commit_merged_is_found(
    server: ForgeServer, forge: Forge
) -> None:
    assert forge.previews_of(MERGE, CONTEXT) == ()
    server.merged[MERGE] = [HEAD]
    assert forge.previews_of(MERGE, CONTEXT) == ()
    for passed, text in ((True, "first"), (False, "second")):
        forge.set_status(HEAD, Status(context=CONTEXT, passed=passed, description=text))
        forge.set_status(HEAD, Status(context="lint", passed=True, description="other"))
    assert forge.previews_of(MERGE, CONTEXT) == (
        Status(context=CONTEXT, passed=False, description="second"),
    )


def test_what_was_merged_after_a_commit_is_told(server: ForgeServer, forge: Forge) -> None:
    assert forge.changed_after(MERGE) == ()
    server.later[MERGE] = ["Pulumi.dev.yaml", "docs/a b.md"]
    assert set(forge.changed_after(MERGE) or ()) == {"Pulumi.dev.yaml", "docs/a b.md"}
    server.later[MERGE] = None
    assert forge.changed_after(MERGE) is None


def test_a_refusal_names_place_words_and_remedy_and_no_token(
    server: ForgeServer, forge: Forge
) -> None:
    server.refuse["POST", "/5/"] = 403
    with pytest.raises(CommandError) as caught:
        forge.put_comment(5, MARKER, f"{MARKER}\nfirst")
    message = str(caught.value)
    assert "403 Resource not accessible" in message
    assert "/5/" in message
    assert "permission" in message or "scope" in message
    assert TOKEN not in message


def test_a_list_that_is_no_json_is_one_message() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    with serving(Page) as url, pytest.raises(CommandError, match="does not answer in JSON"):
        list(JsonApi(url, {}, remedy="").pages("/list"))


def test_nothing_is_followed_to_another_address(server: ForgeServer, forge: Forge) -> None:
    server.refuse["GET", "/5/"] = 302
    with pytest.raises(CommandError, match="302"):
        forge.put_comment(5, MARKER, f"{MARKER}\nfirst")


def test_a_forge_that_is_away_is_named_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as gone:
        environment = gone.github()
    forge = open_forge(environment)
    assert forge is not None
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(CommandError, match="does not answer") as caught:
        forge.set_status(HEAD, Status(context=CONTEXT, passed=True, description="x"))
    assert TOKEN not in str(caught.value)
    assert waited == sorted(waited)
    assert len(waited) > 1  # it was tried again, each time later


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("github", "GITHUB_TOKEN"), ("github", "GITHUB_API_URL"), ("gitlab", "GITLAB_TOKEN")],
)
def test_a_missing_variable_is_named(server: ForgeServer, kind: str, missing: str) -> None:
    environment = getattr(server, kind)()
    with pytest.raises(CommandError, match=rf"\${missing} is not set"):
        open_forge({**environment, missing: ""})


def test_a_persons_shell_has_no_forge() -> None:
    assert open_forge({"HOME": "/root", "GITHUB_TOKEN": TOKEN}) is None
