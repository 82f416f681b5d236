"""Every command of docs/rotation.md is run here; what it says of files and rules is looked up."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mtls_pki.rotation import rules
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Rule
from mtls_pki.settings.stack_file.reading import parse_yaml
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CONFIG_MAPS, STAGE, bundle
from tests.unit.stack_project import HELD, STACK, Project, Say, stage

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "rotation.md").read_text()
SHELL = [
    tuple(shlex.split(line, comments=True))
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
INLINE = [tuple(shlex.split(command)) for command in re.findall(r"`(mtls-pki [^`]+)`", PAGE)]
OURS = sorted({command[1:] for command in SHELL + INLINE if command[0] == "mtls-pki"})
# Run by the tests of whole rotations, on the real engine.
OF_PULUMI = {("preview", "--diff"), ("up",), ("up", "--continue-on-error")}


RULES = [rule for rule in vars(rules).values() if isinstance(rule, Rule)]
REFUSED = PAGE[PAGE.index("\n### ") : PAGE.index("\n## One service first")]


# The page uses these once g2 issues; all others before, or at any time.
PROMOTED = {("retire",), ("retire", "g1")}


def prepare(project: Project, api: Api, command: tuple[str, ...]) -> None:
    """Bring the domain to where the page says that the command is used."""
    if command[0] == "add":
        return
    project.run("add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    roles = {"g1": Role.ISSUING, "g2": Role.INCOMING}
    if command in PROMOTED or command[0] == "reissue":
        project.run("promote")
        roles = {"g1": Role.OUTGOING, "g2": Role.ISSUING}
    api.objects[STAGE] = stage(**roles)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=(HELD,))]


@pytest.mark.parametrize("command", OURS, ids=" ".join)
def test_our_commands_run(project: Project, api: Api, said: Say, command: tuple[str, ...]) -> None:
    prepare(project, api, command)
    assert project.run(*command) == 0, said()[1]


def test_the_other_commands_are_known() -> None:
    for command in SHELL:
        if command[0] == "pulumi":
            assert command[1:] in OF_PULUMI
        elif command[0] == "kubectl":
            assert command[1:3] == ("apply", "-f")
            assert list(YAML(typ="safe").load_all((ROOT / command[3]).read_text()))
        else:
            assert command[:1] == ("mtls-pki",)


def test_every_rule_cites_a_heading_of_the_page_and_every_rule_s_heading_has_a_rule() -> None:
    cited = [rule.source.partition(";")[0] for rule in RULES]
    assert sorted(cited) == sorted({f"docs/rotation.md#{slug}" for slug in _slugs(REFUSED)})


def test_every_rule_s_section_says_what_to_do_and_names_the_upstream() -> None:
    for rule in RULES:
        section = REFUSED.split(f"### {rule.identifier}\n")[1].split("\n### ")[0]
        assert "\nWhat to do: " in section, rule.identifier
        words = " ".join(section.replace("`", "").split())
        for part in filter(None, (rule.upstream or "").split(", ")):
            assert part in words, rule.identifier


def test_links_within_the_page_lead_to_a_heading() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= set(_slugs(PAGE))


def _slugs(page: str) -> list[str]:
    """The anchors that GitHub gives to the headings below the first two levels' own."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def test_nothing_cites_a_document_that_a_reader_cannot_open() -> None:
    # In two parts, so that this file does not name them itself.
    absent = re.compile("design" + r"\.md|reference" + "/")
    for suffix in ("py", "md"):
        for path in ROOT.rglob(f"*.{suffix}"):
            if not {".venv", ".git", ".lab"} & set(path.relative_to(ROOT).parts):
                assert not absent.search(path.read_text(encoding="utf-8")), path


def test_the_examples_are_right_configuration(project: Project) -> None:
    canary, compromise = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    project.run("add", "g2")
    services = parse_yaml(canary, Path("canary"))["mtls-pki:services"]
    namespace = services["gateway"]["namespace"]
    text = project.read().replace("namespaces: [app]", f"namespaces: [{namespace}]")
    start, end = text.index("  mtls-pki:services:"), text.index("encryptionsalt")
    project.write(text[:start] + canary + text[end:])
    assert project.stack().settings().services["gateway"].anchor == "g2"
    project.write(STACK)
    project.run("add", "g2")
    project.run("promote")
    given = parse_yaml(compromise, Path("compromise"))["g1"]
    text = project.read().replace(
        "role: outgoing ",
        f"role: {given['role']}\n      fingerprint: {given['fingerprint']}\n"
        f"      acceptOutage: {str(given['acceptOutage']).lower()} ",
    )
    project.write(text)
    assert project.stack().settings().anchors["g1"].accept_outage
