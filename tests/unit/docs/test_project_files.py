"""CONTRIBUTING, CHANGELOG, SECURITY, CODEOWNERS and the decisions: whole, linked, and true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtls_pki.engine.revealing import COMPANIONS, PLACES, SWITCHES
from mtls_pki.version import VERSION

_ROOT = Path(__file__).parents[3]
_DECISIONS = sorted((_ROOT / "docs" / "decisions").iterdir())
_PAGES = sorted(
    [*_ROOT.glob("*.md"), _ROOT / "policy/README.md", *(_ROOT / "docs").rglob("*.md")],
)
# https://keepachangelog.com/en/1.1.0/
_KINDS_OF_CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _text(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)


def _anchors(page: Path) -> set[str]:
    """The headings, as a forge makes link targets of them."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_link_to_a_file_leads_to_it(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"https?:", target):
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not heading or heading in _anchors(file), target


def test_decisions_are_numbered_one_after_the_other() -> None:
    numbers = [int(path.name[:4]) for path in _DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", _DECISIONS, ids=_name)
def test_a_decision_is_a_short_record(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", path.name)
    assert re.fullmatch(rf"# {path.name[:4]}\. .*[^.]", lines[0])
    sections = [line for line in lines if line.startswith("## ")]
    assert sections == ["## Context", "## Decision", "## Consequence"]
    assert 10 <= len(lines) <= 25
    assert not re.search(r"##[^\n]*\s+(##|\Z)", "\n".join(lines)), "a section is empty"


def test_architecture_lists_every_decision_by_its_title() -> None:
    listed = re.findall(
        r"^\* \[(\d{4})\]\(decisions/([\w-]+\.md)\): (.*)$", _text("docs/architecture.md"), re.M
    )
    written = [
        (path.name[:4], path.name, path.read_text().splitlines()[0][len("# 0000. ") :])
        for path in _DECISIONS
    ]
    assert listed == written


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    first, *released = re.findall(r"^## (.*)$", _text("CHANGELOG.md"), flags=re.M)
    assert first == "[Unreleased]"
    assert all(
        re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading) for heading in released
    )
    assert set(re.findall(r"^### (.*)$", _text("CHANGELOG.md"), flags=re.M)) <= _KINDS_OF_CHANGES


def test_the_newest_section_of_the_changelog_is_the_version() -> None:
    newest = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", _text("CHANGELOG.md"), flags=re.M)[0]
    assert newest == VERSION


def test_the_version_is_written_in_one_place() -> None:
    assert 'dynamic = ["version"]' in _text("pyproject.toml")
    assert 'version = {attr = "mtls_pki.version.VERSION"}' in _text("pyproject.toml")


def test_owners_are_of_files_that_exist_and_teams_that_are_explained() -> None:
    lines = [line.split() for line in _text(".github/CODEOWNERS").splitlines()]
    rules = [line for line in lines if line and not line[0].startswith("#")]
    assert rules[0][0] == "*", "what no other line names has no owner"
    for pattern, *teams in rules[1:]:
        assert list(_ROOT.glob(pattern.removeprefix("/"))), pattern
        assert teams, pattern
    used = {team for _, *teams in rules for team in teams}
    explained = re.findall(r"^\| `(@[\w-]+/[\w-]+)` \|", _text("CONTRIBUTING.md"), flags=re.M)
    assert used == set(explained)


def test_security_names_the_options_and_variables_that_print_keys() -> None:
    options = ("-v=3", "--debug", "--event-log", "--json", "--logtostderr", "--show-secrets")
    for name in (*options, "--tracing", *SWITCHES, *PLACES, *COMPANIONS):
        assert f"`{name}" in _text("SECURITY.md"), name
