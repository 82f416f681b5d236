"""``mtls-pki status`` in a narrow terminal, and ``--watch``."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mtls_pki.commands import output, status_work
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pki.certificates import Validity
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CERTIFICATES, NOW, REQUESTS, certificate, chain, request
from tests.unit.stack_project import Project, Say, spread, steady


def overdue(api: Api) -> None:
    """A leaf of half an hour, whose renewal was due ten minutes ago."""
    validity = Validity(NOW - timedelta(days=1), NOW + timedelta(minutes=30))
    late = f"{NOW - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"
    api.objects[CERTIFICATES] = [certificate("web", renewalTime=late)]
    api.objects[REQUESTS] = [request(chain("g1", validity), name="web-1", certificate="web")]


def test_it_fits_80_columns(
    project: Project, api: Api, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread(api, project)
    overdue(api)
    monkeypatch.setattr(output, "_PIPE_WIDTH", 80)
    said()
    assert project.run("status") == ExitStatus.DONE
    out, _ = said()
    assert max(map(len, out.splitlines())) <= 80
    assert "1 overdue" in out
    assert "in 30 min" in out


def test_what_the_exporter_knows_is_in_the_report(project: Project, api: Api, said: Say) -> None:
    steady(api)
    overdue(api)
    assert project.run("status", "--json") == ExitStatus.DONE
    (cluster,) = json.loads(said()[0])["clusters"]
    assert cluster["overdueLeaves"] == 1
    assert cluster["firstEnd"] == "2026-11-23T12:30:00Z"


class Interrupted:
    """Stands for the waiting between two looks; ends it like Ctrl-C after some."""

    def __init__(self, looks: int, between: list[object]) -> None:
        self.left = looks
        self.between = between
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        for each in self.between:
            assert callable(each)
            each()


def test_watch_looks_again_and_ends_with_the_status_of_the_last_look(
    project: Project, api: Api, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(api)

    def away() -> None:
        api.refused[CERTIFICATES] = 403

    waiting = Interrupted(2, [away])
    monkeypatch.setattr(status_work.time, "sleep", waiting)
    assert project.run("status", "--watch", "--interval", "10s") == ExitStatus.EVIDENCE_MISSING
    assert waiting.seconds == [10.0, 10.0]
    assert "every 10 s; Ctrl-C ends it" in said()[0]


def test_a_stack_file_that_is_being_edited_does_not_end_it(
    project: Project, api: Api, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(api)
    right = project.read()
    edits = iter((right.replace("issuing   #", "isuing   #"), right))
    waiting = Interrupted(3, [lambda: project.write(next(edits))])
    monkeypatch.setattr(status_work.time, "sleep", waiting)
    assert project.run("status", "--watch") == ExitStatus.DONE
    assert len(waiting.seconds) == 3
    said()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--watch", "--json"), "leave --json out"),
        (("--interval", "soon"), "write a Go duration"),
    ],
)
def test_a_wrong_option_is_named(
    project: Project, said: Say, arguments: tuple[str, ...], words: str
) -> None:
    assert project.run("status", *arguments) == ExitStatus.WRONG_COMMAND_LINE
    assert words in said()[1]
