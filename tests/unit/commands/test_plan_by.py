"""``mtls-pki plan --by``: the last safe time of each step."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from icalendar import Calendar

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.roles import Role
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CONFIG_MAPS, NOW, STAGE, bundle
from tests.unit.stack_project import HELD, Project, Say, spread, stage, steady

BY = "2027-03-01"
END = datetime(2027, 3, 1, tzinfo=UTC)
HOLD_DOWN = timedelta(minutes=2)


def told(project: Project, said: Say, *more: str) -> dict[str, datetime]:
    """The last safe time of each step, by its verb."""
    assert project.run("plan", "--by", BY, "--json", *more) == ExitStatus.DONE
    steps = json.loads(said()[0])["steps"]
    return {each["verb"]: datetime.fromisoformat(each["latest"]) for each in steps}


def test_a_whole_rotation_is_counted_backwards(project: Project, api: Api, said: Say) -> None:
    steady(api)
    found = told(project, said)
    assert list(found) == ["add", "promote", "retire"]
    assert found["retire"] == END
    assert found["promote"] - found["add"] == HOLD_DOWN
    settings = project.stack().settings()
    lifetime = settings.issuing.leaf.duration
    assert found["retire"] - found["promote"] == HOLD_DOWN + lifetime
    assert all(first < second for first, second in pairwise(found.values()))


def test_what_is_done_is_not_counted(project: Project, api: Api, said: Say) -> None:
    spread(api, project)
    said()
    assert list(told(project, said)) == ["promote", "retire"]
    project.run("promote")
    api.objects[STAGE] = stage(g1=Role.OUTGOING, g2=Role.ISSUING)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=(HELD,))]
    said()
    assert list(told(project, said)) == ["retire"]


def test_the_text_says_why(project: Project, api: Api, said: Say) -> None:
    steady(api)
    assert project.run("plan", "--by", BY) == ExitStatus.DONE
    out, _ = said()
    assert "3. Remove g1: at the latest 2027-03-01T00:00:00Z" in out
    assert "the day that was asked for, 2027-03-01" in out
    assert "the hold-down 2m0s before: Make g2 issuing" in out


def test_a_calendar_has_an_event_for_each_step(
    project: Project, api: Api, said: Say, tmp_path: Path
) -> None:
    steady(api)
    file = tmp_path / "rotation.ics"
    latest = told(project, said)
    assert project.run("plan", "--by", BY, "--calendar", str(file)) == ExitStatus.DONE
    events = list(Calendar.from_ical(file.read_bytes()).walk("VEVENT"))
    assert [each["dtstart"].dt for each in events] == list(latest.values())
    assert len({str(each["uid"]) for each in events}) == 3
    assert all("example.org" in str(each["summary"]) for each in events)
    assert all(each.walk("VALARM") for each in events)
    # The same again replaces it.
    assert project.run("plan", "--by", BY, "--calendar", str(file)) == ExitStatus.DONE


def test_a_day_that_is_too_near_says_which_is_not(
    project: Project, api: Api, said: Say, tmp_path: Path
) -> None:
    steady(api)
    tomorrow = f"{NOW + timedelta(days=1):%Y-%m-%d}"
    file = tmp_path / "rotation.ics"
    done = project.run("plan", "--by", tomorrow, "--calendar", str(file))
    assert done == ExitStatus.BLOCKED
    out, error = said()
    assert "TOO LATE" in out
    assert f"too late for {tomorrow}: write " in error
    assert not file.exists()
    day = error.split("write ")[1].split()[0]
    later = f"{datetime.fromisoformat(day) + timedelta(days=1):%Y-%m-%d}"
    assert project.run("plan", "--by", later) == ExitStatus.DONE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--by", "March"), "write a day such as 2027-03-01"),
        (("--calendar", "rotation.ics"), "--calendar needs --by"),
    ],
)
def test_a_wrong_option_is_named(
    project: Project, api: Api, said: Say, arguments: tuple[str, ...], words: str
) -> None:
    steady(api)
    assert project.run("plan", *arguments) == ExitStatus.WRONG_COMMAND_LINE
    assert words in said()[1]


def test_before_the_first_update_there_is_nothing_to_count(
    project: Project, api: Api, said: Say
) -> None:
    del api
    assert project.run("plan", "--by", BY) == ExitStatus.ERROR
    assert "run `pulumi up` first" in said()[1]


def test_a_calendar_that_cannot_be_written_is_named(
    project: Project, api: Api, said: Say, tmp_path: Path
) -> None:
    steady(api)
    target = tmp_path / "no" / "rotation.ics"
    assert project.run("plan", "--by", BY, "--calendar", str(target)) == ExitStatus.ERROR
    assert f"--calendar {target}: No such file" in said()[1]
