"""``add``, ``promote`` and ``retire``: what they write, and that they touch nothing else."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtls_pki.settings.stack_file.reading import parse_yaml
from mtls_pki.settings.stack_file.yaml_text import add_entry, remove_entry, set_scalar
from tests.unit.stack_project import STACK, Project, Say

G2 = """\
    g2:
      role: incoming
      commonName: root-g2.example.org
      validFrom: "2026-12-01T00:00:00Z"
      validFor: 87600h
      pathLength: 1
"""
AT = ("--valid-from", "2026-12-01T00:00:00Z")
ADDED = STACK.replace("      pathLength: 1\n", f"      pathLength: 1\n{G2}")
PROMOTED = ADDED.replace("role: issuing ", "role: outgoing ").replace(
    "role: incoming\n", "role: issuing\n"
)
G1 = STACK[STACK.index("    g1:") : STACK.index("    # g2:")]
RETIRED = PROMOTED.replace(G1.replace("issuing ", "outgoing "), "")


def test_the_three_changes_touch_nothing_else(project: Project) -> None:
    assert project.run("add", "g2", *AT) == 0
    assert project.read() == ADDED
    assert project.run("promote") == 0
    assert project.read() == PROMOTED
    assert project.run("retire") == 0
    assert project.read() == RETIRED
    assert "# the first root" in RETIRED


def test_reverting_is_retiring_what_was_added(project: Project) -> None:
    project.run("add", "g2", *AT)
    assert project.run("retire", "g2") == 0
    assert project.read() == STACK


def test_windows_line_ends_stay(project: Project) -> None:
    project.write(STACK.replace("\n", "\r\n"))
    for arguments in (("add", "g2", *AT), ("promote",), ("retire",)):
        assert project.run(*arguments) == 0
    assert project.read() == RETIRED.replace("\n", "\r\n")


def test_a_yaml_anchor_that_others_refer_to_is_named(project: Project, said: Say) -> None:
    written = PROMOTED.replace("validFor: 87600h", "validFor: &tenYears 87600h", 1).replace(
        "validFor: 87600h", "validFor: *tenYears", 1
    )
    assert "*tenYears" in written
    project.write(written)
    assert project.run("retire") == 1
    told = said()[1]
    assert "anchors.g1 holds the YAML anchor &tenYears, to which another entry refers" in told
    assert "(*tenYears); write out there what it stands for, and run this again" in told
    assert "correct the YAML" not in told
    assert project.read() == written
    project.write(written.replace("*tenYears", "87600h"))
    assert project.run("retire") == 0
    assert project.read() == RETIRED


FLOW_G1 = (
    'g1: {role: "issuing", commonName: root-g1.a, validFrom: "2026-11-01T00:00:00Z", '
    "validFor: 87600h} # first"
)
FLOW = f"""\
config:
  mtls-pki:trustDomain: example.org
  mtls-pki:clusters: {{dev: {{context: dev}}}}
  mtls-pki:trust: {{namespaces: [app]}}
  mtls-pki:anchors:
    {FLOW_G1}"""  # without a last line end


def test_a_flow_stays_a_flow_and_quotes_stay(project: Project) -> None:
    project.write(FLOW)
    assert project.run("add", "g2", *AT) == 0
    added = (
        '    g2: {role: incoming, commonName: root-g2.a, validFrom: "2026-12-01T00:00:00Z", '
        "validFor: 87600h}\n"
    )
    assert project.read() == f"{FLOW}\n{added}"
    assert project.run("promote") == 0
    assert 'g1: {role: "outgoing",' in project.read()
    assert "g2: {role: issuing," in project.read()
    assert project.run("retire") == 0
    assert project.read() == FLOW[: FLOW.index("    g1:")] + added.replace("incoming", "issuing")


def test_anchors_on_one_line(project: Project) -> None:
    one_line = f" {{{FLOW_G1.removesuffix(' # first')}}} # all\n"
    project.write(FLOW.replace(f"\n    {FLOW_G1}", one_line))
    before = project.read()
    assert project.run("add", "g2", *AT) == 0
    assert project.read().endswith("validFor: 87600h}} # all\n")
    assert project.run("promote") == 0
    assert project.run("retire") == 0
    assert "anchors: {g2: {role: issuing," in project.read()
    project.write(before)
    project.run("add", "g2", *AT)
    project.run("retire", "g2")
    assert project.read() == before


def test_the_diff_is_what_git_would_apply(project: Project, said: Say) -> None:
    project.run("add", "g2", *AT)
    diff, hint = said()
    assert "nothing is applied" in hint
    project.write(STACK)
    subprocess.run(["git", "apply", "-"], input=diff, text=True, check=True, cwd=project.directory)
    assert project.read() == ADDED


def test_a_dry_run_writes_nothing(project: Project, said: Say) -> None:
    assert project.run("add", "g2", "--dry-run") == 0
    assert project.read() == STACK
    assert "+    g2:" in said()[0]


def test_json(project: Project, said: Say) -> None:
    assert project.run("add", "g2", "--json") == 0
    document = json.loads(said()[0])
    assert document["schema"] == "mtls-pki/rotation-report/v1"
    assert (document["kind"], document["written"]) == ("edit", True)
    assert document["diff"].startswith("--- a/Pulumi.dev.yaml")


def test_the_file_keeps_its_mode_and_its_link(project: Project) -> None:
    project.file.chmod(0o640)
    elsewhere = project.directory / "elsewhere.yaml"
    project.file.rename(elsewhere)
    project.file.symlink_to(elsewhere)
    assert project.run("add", "g2") == 0
    assert project.file.is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert "g2:" in elsewhere.read_text()
    assert sorted(path.name for path in project.directory.glob(".*")) == []


def test_what_is_said_is_written(project: Project) -> None:
    arguments = ("--common-name", "a: b", "--valid-for", "9000h", "--like", "g1")
    assert project.run("add", "g2", *arguments) == 0
    anchor = project.stack().settings().anchors["g2"]
    assert anchor.common_name == "a: b"
    assert 'commonName: "a: b"' in project.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "g1"), "anchors.g1 is there already (issuing)"),
        (("add", "g2", "--like", "g9"), "--like g9: no such anchor; there are: g1"),
        (("add", "G2"), "anchors.G2: 'G2': name a generation g1, g2, ..."),
        (("add", "g2", "--valid-for", "30d"), "anchors.g2.validFor: '30d': write 720h"),
        (("add", "g2", "--valid-from", "soon"), "write an RFC 3339 time"),
        (
            ("add", "g2", "--common-name", "root-g1.example.org"),
            "verifiers that look up issuers by name",
        ),
        (("add", "g2", "--certificate", "no.pem"), "no such file"),
        (("add", "g2", "--certificate", "x.pem", "--valid-for", "1h"), "leave the other options"),
        (("promote",), "no anchor is incoming; add one"),
        (("promote", "g1"), "g1 is issuing, and must be incoming"),
        (("promote", "g7"), "g7: no such anchor; there are: g1"),
        (("retire",), "no anchor is outgoing; promote its successor first"),
        (("retire", "g1"), "g1 is issuing, and must be outgoing or incoming or compromised"),
    ],
)
def test_nonsense_is_one_message_and_changes_nothing(
    project: Project, said: Say, arguments: tuple[str, ...], message: str
) -> None:
    assert project.run(*arguments) == 1
    out, err = said()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert project.read() == STACK


def test_a_second_rotation_is_refused(project: Project, said: Say) -> None:
    project.run("add", "g2")
    before = project.read()
    said()
    assert project.run("add", "g3") == 1
    assert "One rotation at a time" in said()[1]
    assert project.read() == before


def test_a_canary_on_the_retired_anchor_is_named(project: Project, said: Say) -> None:
    project.write(PROMOTED.replace("web: {namespace: app}", "web: {namespace: app, anchor: g1}"))
    said()
    assert project.run("retire") == 1
    assert "services.web.anchor: 'g1' is no anchor of this stack" in said()[1]


def test_a_file_that_cannot_be_edited_safely_is_left_alone(project: Project, said: Say) -> None:
    shared = ADDED.replace("role: issuing   # for now", "role: &r incoming").replace(
        "role: incoming\n", "role: *r\n"
    )
    project.write(shared.replace("&r incoming", "&r issuing"))
    assert project.run("promote") == 1
    assert project.read() == shared.replace("&r incoming", "&r issuing")


NAMES = st.text("abcz019", min_size=1, max_size=4).filter(str.isidentifier)
VALUES = st.one_of(st.integers(0, 9), st.text(st.characters(exclude_categories=["C"]), max_size=9))


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1), st.booleans())
def test_whatever_is_added_is_read_back_and_removed_without_a_trace(
    fields: dict[str, int | str], flow: bool
) -> None:
    neighbour = "{k: v}" if flow else "\n    k: v"
    text = f"a:\n  one: {neighbour} # c\n\n# d\nb: 1\n"
    added = add_entry(text, ("a", "two"), fields)
    assert parse_yaml(added, Path("x"))["a"] == {"one": {"k": "v"}, "two": fields}
    assert remove_entry(added, ("a", "two")) == text


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_scalar_keeps_its_quotes(quote: str) -> None:
    text = f"a: {{b: {quote}x{quote}}} # c\n"
    assert set_scalar(text, ("a", "b"), "y") == f"a: {{b: {quote}y{quote}}} # c\n"
