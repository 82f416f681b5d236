"""``review``: where the preview comes from, where the page goes, and the exit status."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.pages.markdown import LONGEST_PAGE
from mtls_pki.review.verdict import Outcome
from tests.unit.pki import material
from tests.unit.review.previews import DIGESTS
from tests.unit.stack_project import Project, Say

PAGE = (Path(__file__).parents[3] / "docs" / "review.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]

# A pulumi that records what it was asked, and answers from files.
PULUMI = """#!/bin/sh
printf '%s\\n' "$@" > asked
cat answer
cat complaint >&2
exit $(cat status)
"""


@pytest.fixture
def review(project: Project) -> Project:
    """A project whose only stack is the one that was recorded."""
    project.file.rename(project.directory / "Pulumi.review.yaml")
    return project


def recorded(name: str) -> str:
    return str(DIGESTS / f"{name}.json")


def pulumi(
    project: Project, monkeypatch: pytest.MonkeyPatch, answer: str, *, status: int, said: str = ""
) -> None:
    """Put a pulumi on PATH that prints ``answer`` and, on standard error, ``said``."""
    directory = project.directory / "bin"
    directory.mkdir()
    script = directory / "pulumi"
    script.write_text(PULUMI)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    for name, text in (("answer", answer), ("complaint", said), ("status", str(status))):
        (project.directory / name).write_text(text)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("promote", 0),
        ("no-change", 0),
        ("promote-too-early", 3),
        ("unreachable", 4),
        ("mistake", 5),
    ],
)
def test_the_status_tells_the_verdict(review: Project, said: Say, name: str, status: int) -> None:
    assert review.run("review", "--preview", recorded(name)) == status
    out, err = said()
    assert out.startswith("<!-- mtls-pki review: review -->\n")
    assert err == ""


def test_the_page_goes_where_it_is_asked_for(review: Project, said: Say) -> None:
    arguments = ("--preview", recorded("promote"), "--commit", "0f3c2a1")
    assert review.run("review", *arguments, "--markdown", "page.md", "--html", "page.html") == 0
    assert said() == ("", "")
    assert "Commit `0f3c2a1`." in (review.directory / "page.md").read_text()
    assert "<code>0f3c2a1</code>" in (review.directory / "page.html").read_text()
    assert review.run("review", *arguments) == 0
    assert said()[0] == (review.directory / "page.md").read_text()


def test_a_preview_comes_through_a_pipe(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(recorded("add")).read_text()))
    assert review.run("review", "--preview", "-") == 0
    assert "g2: absent -> incoming" in said()[0]


def test_without_a_file_the_preview_is_made(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(review, monkeypatch, Path(recorded("promote")).read_text(), status=0)
    assert review.run("review") == 0
    assert "g1: issuing -> outgoing" in said()[0]
    asked = (review.directory / "asked").read_text().split()
    assert asked == [
        *("preview", "--json", "--show-sames", "--stack", "review"),
        *("--non-interactive", "--color", "never"),
    ]
    assert review.run("review", "--stack", "acme/mtls-pki/review") == 0
    assert (review.directory / "asked").read_text().split()[4] == "acme/mtls-pki/review"


def test_an_engine_that_did_not_begin_gives_a_page_without_secrets(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = material.key_pem("stolen")
    pulumi(review, monkeypatch, "", status=255, said=f"error: no stack named 'review'\n{pem}\n")
    assert review.run("review") == 5
    out, err = said()
    assert "- no stack named 'review'\n" in out
    assert not [line for line in pem.splitlines()[1:-1] if line in out + err]


def test_a_preview_that_ended_badly_without_a_word_has_failed(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a policy does: its findings are not in the digest.
    pulumi(review, monkeypatch, Path(recorded("no-change")).read_text(), status=255)
    assert review.run("review") == 5
    assert "- `pulumi preview` ended with 255\n".replace("`", "\\`") in said()[0]


FINDING = {
    "level": "mandatory",
    "rule": "key-algorithm",
    "resource": "g1-key",
    "message": "Keys are strong.\nPrivateKey g1-key: its key is P-224 <b>. What to do: use P-256.",
}


def test_findings_of_a_pack_lead_the_page(review: Project, said: Say) -> None:
    found = review.directory / "found.json"
    advice = {**FINDING, "level": "advisory", "message": material.key_pem("stolen")}
    arguments = ("review", "--preview", recorded("promote"), "--findings", "found.json")
    found.write_text(json.dumps([advice]))
    assert review.run(*arguments) == 0
    advised = said()[0]
    assert "**The guard agrees.**" in advised
    assert "- **advisory** `key-algorithm` \\[private key removed\\]" in advised
    found.write_text(json.dumps([advice, FINDING, FINDING]))
    assert review.run(*arguments, "--failed", "--html", "page.html") == 5
    page = said()[0]
    assert "> **The policy pack forbids it.** g1: issuing -> outgoing" in page
    assert "as long as it breaks one mandatory rule, whatever the guard says" in page
    assert "The guard agrees" not in page
    assert "What can be undone" not in page
    assert (
        "- **mandatory** `key-algorithm` Keys are strong.\n"
        "  - PrivateKey g1-key: its key is P-224 &#60;b>.\n"
        "  - **Do:** use P-256.\n"
    ) in page
    assert page.index("**mandatory**") < page.index("**advisory**") < page.index("```diff")
    assert "The policy pack forbids it." in (review.directory / "page.html").read_text()


def test_findings_never_push_the_review_off_its_page(review: Project, said: Say) -> None:
    many = [{**FINDING, "message": f"finding {n} of {'x' * 200}"} for n in range(2_000)]
    (review.directory / "found.json").write_text(json.dumps(many))
    arguments = ("--preview", recorded("promote-too-early"), "--findings", "found.json")
    assert review.run("review", *arguments) == 3
    page = said()[0]
    assert len(page) <= LONGEST_PAGE
    assert "- and 19" in page
    for part in ("**Refused.**", "### Why it is refused", "### What would change in trust"):
        assert part in page


def test_an_engine_that_failed_without_a_word_is_no_green_page(review: Project, said: Say) -> None:
    assert review.run("review", "--preview", recorded("no-change"), "--failed") == 5
    assert "- the engine failed, and its output does not say why: see its log" in said()[0]
    # What has its reason gets no second one.
    for name, status in (("promote-too-early", 3), ("mistake", 5)):
        assert review.run("review", "--preview", recorded(name), "--failed") == status
        assert "see its log" not in said()[0]


def test_there_may_be_no_pulumi(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert review.run("review") == 1
    assert (
        "there is no `pulumi` on PATH; install it, or let `make up` make one ready, or give"
        in said()[1]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preview", "none.json"), "--preview none.json: No such file or directory"),
        (("--preview", "Pulumi.yaml"), "--preview Pulumi.yaml: not JSON"),
        (("--preview", "latin"), "--preview latin: it is not UTF-8 text"),
        (
            ("--preview", "other.json"),
            "--preview other.json: it is of stack 'prod', not of 'review'; name its stack",
        ),
        (
            ("--preview", recorded("add"), "--html", "none/page.html"),
            "--html none/page.html: No such file or directory",
        ),
        (("--preview", recorded("add"), "--markdown", "."), "--markdown .: Is a directory"),
        (
            ("--preview", recorded("add"), "--findings", "other.json"),
            "--findings other.json: no list of findings",
        ),
        (("--preview", recorded("add"), "--findings", "none"), "--findings none: No such file"),
    ],
)
def test_mistakes_are_told(
    review: Project, said: Say, arguments: tuple[str, ...], words: str
) -> None:
    (review.directory / "latin").write_bytes(b"\xff")
    other: dict[str, Any] = json.loads(Path(recorded("add")).read_text())
    text = json.dumps(other).replace("urn:pulumi:review::", "urn:pulumi:prod::")
    (review.directory / "other.json").write_text(text)
    assert review.run("review", *arguments) == 1
    out, err = said()
    assert (out, err.startswith(f"mtls-pki: {words}")) == ("", True), err


def test_the_help_tells_every_status(review: Project, said: Say) -> None:
    assert review.run("review", "--help") == 0
    out = said()[0]
    for line in (
        "3    check, review: the change is blocked",
        "4    check, review, status, plan: evidence is missing",
        "5    review: the preview failed, and not because the change is blocked",
    ):
        assert line in out
    assert "print one JSON document" not in out


def test_the_commands_of_the_docs_run(
    review: Project, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(recorded("promote")).read_text()
    pulumi(review, monkeypatch, text, status=0)
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        if command[0] == "pulumi":
            # The same preview as the command makes by itself.
            assert command == shlex.split("pulumi preview --json --show-sames > preview.json")
            (review.directory / command[-1]).write_text(text)
            continue
        assert command[:2] == ["mtls-pki", "review"]
        assert review.run(*command[1:]) == 0, said()[1]


def test_the_docs_tell_every_outcome() -> None:
    told = {int(status) for status in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)}
    assert told == {*Outcome, 1}
