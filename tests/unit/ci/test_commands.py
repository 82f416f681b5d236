"""What preview, deploy and drift decide, with other words of the engine in place of the engine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtls_pki.ci import deploy as deploying
from mtls_pki.ci import drift as drifting
from mtls_pki.ci import preview as previewing
from mtls_pki.ci import repository
from mtls_pki.ci.forge import Forge
from mtls_pki.ci.preview import Change, context, describe
from mtls_pki.ci.runner import open_forge
from mtls_pki.clusters.observed_domain import observe_domain
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.commands.main import main
from mtls_pki.engine import update as updating
from mtls_pki.engine.cli import Done
from mtls_pki.engine.event_log import read_findings
from mtls_pki.engine.findings import read_findings as read_given
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pages.markers import review_marker
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.rotation.rules import Notice
from tests.unit.ci.forge_server import ForgeServer, serve
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CONFIG_MAPS, STAGE, bundle
from tests.unit.pki import material
from tests.unit.review.previews import DIGESTS
from tests.unit.stack_project import HELD, Project, steady

HEAD = "a" * 40


def digest(name: str, *, status: int = 0) -> Done:
    """What the engine printed of a change that was recorded."""
    return Done(status=status, output=(DIGESTS / f"{name}.json").read_text())


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    with serve() as forge:
        yield forge


@pytest.fixture
def forge(server: ForgeServer) -> Forge:
    opened = open_forge(server.github())
    assert opened is not None
    return opened


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which the commands run."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "Pulumi.dev.yaml").write_text("config: {}\n")
    for name in ("user.name", "user.email"):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{int(name == 'user.email')}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{int(name == 'user.email')}", "tests@example.org")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.chdir(place)
    for command in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(("git", *command), check=True)
    return place


class Engine:
    """Answers in place of ``pulumi``, and records what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answer = digest("promote")
        self.findings: list[dict[str, Any]] = []

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, to_log: bool = False
    ) -> Done:
        self.asked.append(arguments)
        if "--event-log" in arguments:
            log = Path(arguments[arguments.index("--event-log") + 1])
            log.write_text("".join(json.dumps({"policyEvent": e}) + "\n" for e in self.findings))
        return self.answer


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Engine:
    faked = Engine()
    for module in (previewing, drifting):
        monkeypatch.setattr(module, "run_pulumi", faked.run)
    monkeypatch.setattr(updating, "attach_pulumi", lambda *a, **k: faked.run(*a, **k).status)
    return faked


@pytest.fixture
def preview(checkout: Path, tmp_path: Path, forge: Forge) -> Callable[[], int]:
    def run() -> int:
        return previewing.preview(
            "dev",
            Change(commit=HEAD, number=5),
            output=tmp_path / "review",
            forge=forge,
            environment={"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")},
        )

    return run


@pytest.mark.parametrize(
    ("recorded", "pulumi", "status", "words"),
    [
        ("promote", 0, ExitStatus.DONE, "**The guard agrees.**"),
        ("unreachable", 0, ExitStatus.DONE, "could not be read"),
        ("promote-too-early", 255, ExitStatus.BLOCKED, "**Refused.**"),
        ("mistake", 255, ExitStatus.ERROR, "trust.holdDown: '2d': write 48h"),
        ("no-change", 255, ExitStatus.ERROR, "its output does not say why: see its log"),
        ("mistake", 0, ExitStatus.ERROR, "trust.holdDown: '2d': write 48h"),
    ],
)
def test_the_outcome_is_posted_and_recorded(
    faked: Engine, server: ForgeServer, preview: Callable[[], int], tmp_path: Path,
    recorded: str, pulumi: int, status: ExitStatus, words: str,
) -> None:  # fmt: skip
    faked.answer = digest(recorded, status=pulumi)
    assert preview() == status
    (page,) = [note.body for note in server.comments[5]]
    assert page.startswith(f"{review_marker('dev')}\n")
    assert words in page
    assert f"Commit `{HEAD}`." in page
    ((name, passed, text),) = server.statuses[HEAD]
    assert (name, passed) == ("mtls-pki/preview/dev", status == 0)
    assert text.endswith(f"; tree {repository.tree('HEAD')}")
    assert (tmp_path / "summary").read_text() == page
    assert (tmp_path / "review" / "dev.md").read_text() == page
    assert HEAD in (tmp_path / "review" / "dev.html").read_text()
    assert (tmp_path / "review" / "dev.json").read_text() == faked.answer.output
    assert ("--policy-pack", "policy") in zip(faked.asked[0], faked.asked[0][1:], strict=False)


def test_a_preview_without_a_page_says_so_in_its_place(
    faked: Engine, server: ForgeServer, preview: Callable[[], int], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert preview() == 0
    faked.answer = Done(status=255, output="")
    assert preview() == 1
    (note,) = server.comments[5]
    assert "the preview failed" in note.body
    assert re.match(r"mtls-pki: .*/dev\.json: not JSON", capsys.readouterr().err)
    assert not (tmp_path / "review" / "dev.html").exists()
    assert [passed for _, passed, _ in server.statuses[HEAD]] == [True, False]


def test_the_page_is_told_what_the_policy_pack_finds(
    faked: Engine, server: ForgeServer, preview: Callable[[], int], tmp_path: Path
) -> None:
    for level in ("advisory", "mandatory"):
        faked.findings.append(
            {
                "enforcementLevel": level,
                "policyName": "key-algorithm",
                "resourceUrn": "urn:pulumi:dev::mtls-pki::tls:index/privateKey:PrivateKey::g1-key",
                "message": "P-224 <b>\nuse P-256",
            }
        )
    faked.answer = digest("promote", status=255)
    assert preview() == 1
    assert "The policy pack forbids it." in server.comments[5][0].body
    given = read_given((tmp_path / "review" / "dev.findings.json").read_text())
    assert [finding.level for finding in given] == ["mandatory", "advisory"]
    first = given[0]
    assert (first.rule, first.resource) == ("key-algorithm", "g1-key")
    assert first.message == "P-224 <b>\nuse P-256"


def test_a_key_in_a_finding_is_neither_posted_nor_left_behind(
    faked: Engine, server: ForgeServer, preview: Callable[[], int], tmp_path: Path
) -> None:
    pem = material.key_pem("stolen")
    faked.findings.append(
        {"enforcementLevel": "advisory", "policyName": "keys", "message": f"it is {pem}"}
    )
    assert preview() == 0
    written = [path.read_text() for path in (tmp_path / "review").iterdir()]
    for text in (*written, server.comments[5][0].body):
        assert not [line for line in pem.splitlines()[1:-1] if line in text]


def test_no_status_is_recorded_where_the_comment_is_refused(
    faked: Engine, server: ForgeServer, preview: Callable[[], int]
) -> None:
    server.refuse["POST", "/comments"] = 403
    with pytest.raises(CommandError, match="403"):
        preview()
    assert server.statuses == {}


def test_what_is_not_committed_is_not_previewed(
    faked: Engine, preview: Callable[[], int], checkout: Path
) -> None:
    (checkout / "Pulumi.dev.yaml").write_text("config: {a: b}\n")
    with pytest.raises(CommandError, match=r"differs from its commit .*Pulumi\.dev\.yaml"):
        preview()
    assert faked.asked == []


def test_by_hand_a_preview_posts_nothing(
    faked: Engine, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ci", "preview", "--stack", "dev", "--output", str(tmp_path / "review")]) == 0
    assert (tmp_path / "review" / "dev.md").read_text().startswith(review_marker("dev"))


def merged(server: ForgeServer, *, passed: bool = True, tree: str | None = None) -> None:
    """Let the forge know a change that the present commit merged, and its preview."""
    server.merged[repository.commit("HEAD")] = [HEAD]
    text = describe(tree or repository.tree("HEAD"), "may be applied")
    server.statuses.setdefault(HEAD, []).append((context("dev"), passed, text))


def test_what_was_previewed_is_applied(
    faked: Engine, server: ForgeServer, forge: Forge, checkout: Path
) -> None:
    merged(server)
    assert deploying.deploy("dev", forge=forge) == 0
    # Without a preview the rules on the whole stack would speak after the update.
    previewed, applied = faked.asked
    assert previewed[:3] == ("preview", "--stack", "dev")
    assert applied[:3] == ("up", "--stack", "dev")
    assert "--policy-pack" in previewed
    assert "--policy-pack" in applied
    faked.answer = Done(status=255, output="refused")
    assert deploying.deploy("dev", forge=forge) == 1
    assert len(faked.asked) == 3


def test_what_was_not_previewed_is_not_applied(
    faked: Engine, server: ForgeServer, forge: Forge, checkout: Path
) -> None:
    with pytest.raises(CommandError, match="was not previewed in a change"):
        deploying.deploy("dev", forge=forge)
    merged(server, tree="f" * 40)
    with pytest.raises(CommandError, match=r"are not those that the preview .* saw \(tree f"):
        deploying.deploy("dev", forge=forge)
    # Previewed for another stack only.
    merged(server)
    with pytest.raises(CommandError, match="stack prod was not previewed"):
        deploying.deploy("prod", forge=forge)
    merged(server, passed=False)
    with pytest.raises(CommandError, match="was not green"):
        deploying.deploy("dev", forge=forge)
    (checkout / "more").write_text("")
    with pytest.raises(CommandError, match="differs from its commit"):
        deploying.deploy("dev", forge=forge)
    assert faked.asked == []


@pytest.mark.parametrize(
    ("later", "stops"),
    [
        (["Pulumi.dev.yaml"], True),
        (["components/trust_bundle.py"], True),
        (None, True),
        (["docs/rotation.md", "Pulumi.prod.yaml"], False),
    ],
)
def test_an_older_commit_is_not_applied_over_a_newer_one(
    faked: Engine, server: ForgeServer, forge: Forge, checkout: Path,
    later: list[str] | None, stops: bool,
) -> None:  # fmt: skip
    merged(server)
    server.later[repository.commit("HEAD")] = later
    if stops:
        with pytest.raises(CommandError, match="run of the newest commit"):
            deploying.deploy("dev", forge=forge)
    else:
        assert deploying.deploy("dev", forge=forge) == 0
    assert bool(faked.asked) is not stops


def test_nothing_is_deployed_from_a_persons_shell(faked: Engine, checkout: Path) -> None:
    with pytest.raises(CommandError, match="by hand, run `pulumi up`"):
        deploying.deploy("dev", forge=None)
    assert faked.asked == []


SAME: dict[str, Any] = {"steps": [{"op": "same", "urn": "urn:pulumi:dev::mtls-pki::a:b::c"}]}
URN = "urn:pulumi:dev::mtls-pki::kubernetes:core/v1:ConfigMap::dev-mesh-trust-monoskope"
UPDATE: dict[str, Any] = {"steps": [{"op": "update", "urn": URN}]}


def look(faked: Engine, forge: Forge, found: Any = SAME) -> int:
    faked.answer = Done(status=0 if found is SAME else 255, output=json.dumps(found))
    return drifting.drift("dev", forge=forge, environment={})


def test_an_issue_is_opened_updated_and_closed(
    faked: Engine, server: ForgeServer, forge: Forge, project: Project, api: Api
) -> None:
    steady(api)
    as_it_was = project.read()
    assert look(faked, forge) == 0
    assert server.issues == []
    assert look(faked, forge, UPDATE) == 3
    (issue,) = server.issues
    assert "update kubernetes:core/v1:ConfigMap::dev-mesh-trust-monoskope" in issue.body
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "foreign", managed=(HELD,))]
    project.run("add", "g2")
    assert look(faked, forge) == 3
    assert "holds CN=root-foreign.example.org" in issue.body
    assert "g2: absent -&gt; incoming" in issue.body
    assert "ConfigMap::" not in issue.body
    project.write(as_it_was)
    steady(api)
    assert look(faked, forge) == 0
    assert not issue.open


def test_a_canary_that_has_not_moved_yet_is_no_drift(
    faked: Engine, server: ForgeServer, forge: Forge, project: Project, api: Api,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    steady(api)
    settings = project.stack().settings()
    verdict = observe_domain(settings, sources=SOURCES).verdict()
    noticed = replace(verdict, notices=(Notice(identifier="canary-pending", message="x"),))
    left: list[OwnedObject] = []
    domain = SimpleNamespace(verdict=lambda: noticed, evidence=SimpleNamespace(undeclared=left))
    monkeypatch.setattr(drifting, "observe_domain", lambda *_, **__: domain)
    assert look(faked, forge) == 0
    noticed = replace(noticed, notices=(Notice(identifier="anchor-ends-soon", message="g1 ends"),))
    assert look(faked, forge) == 3
    assert "g1 ends" in server.issues[0].body
    noticed = replace(noticed, notices=())
    # What the preview deletes is not left behind.
    for name in ("deleted", "kept"):
        left.append(
            OwnedObject(cluster="dev", namespace="app", kind="Certificate", name=name, owner="x")
        )
    urn = "urn:pulumi:dev::mtls-pki::kubernetes:cert-manager.io/v1:Certificate::dev/app/deleted"
    inputs = {"kind": "Certificate", "metadata": {"namespace": "app", "name": "deleted"}}
    provider = "urn:pulumi:dev::mtls-pki::pulumi:providers:kubernetes::dev::id"
    step = {"op": "delete", "urn": urn, "provider": provider, "oldState": {"inputs": inputs}}
    assert look(faked, forge, {"steps": [step]}) == 3
    body = server.issues[0].body
    assert "dev/app/Certificate/kept" in body
    assert "dev/app/Certificate/deleted" not in body


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "gave no digest"),
        (
            {"steps": [], "diagnostics": [{"severity": "error", "message": "no passphrase"}]},
            "failed: no passphrase",
        ),
    ],
)
def test_what_the_engine_cannot_read_is_no_drift(
    faked: Engine, server: ForgeServer, forge: Forge, found: Any, words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        look(faked, forge, found)
    assert server.issues == []


def test_what_the_clusters_do_not_show_is_no_drift(
    faked: Engine, server: ForgeServer, forge: Forge, project: Project, api: Api
) -> None:
    steady(api)
    api.refused[STAGE] = 403
    with pytest.raises(CommandError, match=r"cluster dev cannot be read: .* is forbidden"):
        look(faked, forge)
    project.write(project.read().replace("role: issuing ", "role: isuing "))
    with pytest.raises(CommandError, match=r"Pulumi\.dev\.yaml has 1 mistake"):
        look(faked, forge)
    assert server.issues == []


@pytest.mark.parametrize("text", ["{", '{"policyEvent": {}}\n', "[]\n{}x"])
def test_an_event_log_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    log = tmp_path / "events"
    log.write_text(text)
    with pytest.raises(CommandError, match="is no event log of the engine"):
        read_findings(log)


@pytest.mark.parametrize("name", ["PULUMI_OPTION_VERBOSE", "PULUMI_OPTION_TRACING"])
@pytest.mark.parametrize("command", [("preview", "--output", "review"), ("deploy",), ("drift",)])
def test_no_job_begins_where_the_engine_would_show_keys(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    name: str,
) -> None:
    monkeypatch.setenv(name, "9")
    # A forge that is not there: nothing may be asked before the refusal.
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main(["ci", *command, "--stack", "dev"]) == ExitStatus.WRONG_COMMAND_LINE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"mtls-pki: with {name} the engine shows private keys in clear")
    assert said.err.count("\n") == 1
    assert not (checkout / "review").exists()


@pytest.mark.parametrize("option", ["-v=9", "--logtostderr", "--tracing=file:trace", "--debug"])
def test_no_command_takes_the_engines_options(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ci", "deploy", "--stack", "dev", option]) == ExitStatus.WRONG_COMMAND_LINE
    assert option in capsys.readouterr().err
