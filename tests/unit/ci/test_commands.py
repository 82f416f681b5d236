"""What preview, deploy and drift decide, with other words of the engine in place of the engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.ci import deploy as deploying
from mtls_pki.ci import drift as drifting
from mtls_pki.ci import preview as previewing
from mtls_pki.ci import repository
from mtls_pki.ci.errors import CiError
from mtls_pki.ci.forge import Forge
from mtls_pki.ci.page import review_marker
from mtls_pki.ci.preview import Change, context, describe
from mtls_pki.ci.runner import open_forge
from mtls_pki.commands.ci import main
from mtls_pki.engine import command as engine
from mtls_pki.engine.command import Done
from mtls_pki.engine.findings import read_findings as read_given
from mtls_pki.engine.policy_output import read_findings
from tests.unit.ci.forge_server import ForgeServer, serve

HEAD = "a" * 40
PAGE = f"{review_marker('dev')}\nthe page\n"


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
    """Answers in place of ``pulumi`` and ``mtls-pki``, and records what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.pulumi_answer = Done(status=0, output="{}")
        self.rotation_answer = Done(status=0, output="")
        self.page: str | None = PAGE
        self.findings: list[dict[str, Any]] = []

    def pulumi(self, *arguments: str, extra_environment: Mapping[str, str] | None = None) -> Done:
        self.asked.append(arguments)
        if "--event-log" in arguments:
            log = Path(arguments[arguments.index("--event-log") + 1])
            log.write_text("".join(json.dumps({"policyEvent": e}) + "\n" for e in self.findings))
        return self.pulumi_answer

    def rotation(self, *arguments: str) -> Done:
        self.asked.append(arguments)
        if "--markdown" in arguments and self.page is not None:
            Path(arguments[arguments.index("--markdown") + 1]).write_text(self.page)
        return self.rotation_answer


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Engine:
    faked = Engine()
    monkeypatch.setattr(engine, "pulumi", faked.pulumi)
    monkeypatch.setattr(engine, "rotation", faked.rotation)
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
    ("pulumi", "rotation", "status"),
    [(0, 0, 0), (0, 4, 0), (255, 3, 3), (255, 5, 1), (255, 0, 1), (0, 1, 1)],
)
def test_the_outcome_is_posted_and_recorded(
    faked: Engine, server: ForgeServer, preview: Callable[[], int], tmp_path: Path,
    pulumi: int, rotation: int, status: int,
) -> None:  # fmt: skip
    faked.pulumi_answer = Done(status=pulumi, output="{}")
    faked.rotation_answer = Done(status=rotation, output="")
    assert preview() == status
    assert [note.body for note in server.comments[5]] == [PAGE]
    ((name, passed, text),) = server.statuses[HEAD]
    assert (name, passed) == ("mtls-pki/preview/dev", status == 0)
    assert text.endswith(f"; tree {repository.tree('HEAD')}")
    assert (tmp_path / "summary").read_text() == PAGE
    assert ("--failed" in faked.asked[1]) is (pulumi != 0)
    assert ("--policy-pack", "policy") in zip(faked.asked[0], faked.asked[0][1:], strict=False)


def test_a_preview_without_a_page_says_so_in_its_place(
    faked: Engine, server: ForgeServer, preview: Callable[[], int]
) -> None:
    assert preview() == 0
    faked.page = None
    faked.pulumi_answer = Done(status=255, output="")
    assert preview() == 1
    (note,) = server.comments[5]
    assert "the preview failed" in note.body
    assert [passed for _, passed, _ in server.statuses[HEAD]] == [True, False]


def test_the_page_is_told_what_the_policy_pack_finds(
    faked: Engine, preview: Callable[[], int]
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
    faked.pulumi_answer = Done(status=255, output="{}")
    assert preview() == 1
    asked = faked.asked[1]
    assert "--failed" in asked
    given = read_given(Path(asked[asked.index("--findings") + 1]).read_text())
    assert [finding.level for finding in given] == ["mandatory", "advisory"]
    first = given[0]
    assert (first.rule, first.resource) == ("key-algorithm", "g1-key")
    assert first.message == "P-224 <b>\nuse P-256"


def test_no_status_is_recorded_where_the_comment_is_refused(
    faked: Engine, server: ForgeServer, preview: Callable[[], int]
) -> None:
    server.refuse["POST", "/comments"] = 403
    with pytest.raises(CiError, match="403"):
        preview()
    assert server.statuses == {}


def test_what_is_not_committed_is_not_previewed(
    faked: Engine, preview: Callable[[], int], checkout: Path
) -> None:
    (checkout / "Pulumi.dev.yaml").write_text("config: {a: b}\n")
    with pytest.raises(CiError, match=r"differs from its commit .*Pulumi\.dev\.yaml"):
        preview()
    assert faked.asked == []


def test_by_hand_a_preview_posts_nothing(
    faked: Engine, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["preview", "--stack", "dev", "--output", str(tmp_path / "review")]) == 0
    assert (tmp_path / "review" / "dev.md").read_text() == PAGE


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
    assert faked.asked[0][:3] == ("up", "--stack", "dev")
    assert "--policy-pack" in faked.asked[0]
    # Without its preview the rules on the whole stack would speak after the update.
    assert "--skip-preview" not in faked.asked[0]
    faked.pulumi_answer = Done(status=255, output="refused")
    assert deploying.deploy("dev", forge=forge) == 1


def test_what_was_not_previewed_is_not_applied(
    faked: Engine, server: ForgeServer, forge: Forge, checkout: Path
) -> None:
    with pytest.raises(CiError, match="was not previewed in a change"):
        deploying.deploy("dev", forge=forge)
    merged(server, tree="f" * 40)
    with pytest.raises(CiError, match=r"are not those that the preview .* saw \(tree f"):
        deploying.deploy("dev", forge=forge)
    # Previewed for another stack only.
    merged(server)
    with pytest.raises(CiError, match="stack prod was not previewed"):
        deploying.deploy("prod", forge=forge)
    merged(server, passed=False)
    with pytest.raises(CiError, match="was not green"):
        deploying.deploy("dev", forge=forge)
    (checkout / "more").write_text("")
    with pytest.raises(CiError, match="differs from its commit"):
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
        with pytest.raises(CiError, match="run of the newest commit"):
            deploying.deploy("dev", forge=forge)
    else:
        assert deploying.deploy("dev", forge=forge) == 0
    assert bool(faked.asked) is not stops


def test_nothing_is_deployed_from_a_persons_shell(faked: Engine, checkout: Path) -> None:
    with pytest.raises(CiError, match="by hand, run `pulumi up`"):
        deploying.deploy("dev", forge=None)
    assert faked.asked == []


DIGEST: dict[str, Any] = {"steps": [{"op": "same", "urn": "urn:pulumi:dev::mtls-pki::a:b::c"}]}
VERDICT: dict[str, Any] = {"unreadClusters": [], "changes": [], "notices": []}


def look(faked: Engine, forge: Forge, digest: Any = DIGEST, **verdict: Any) -> int:
    status = 0 if digest is DIGEST else 255
    faked.pulumi_answer = Done(status=status, output=json.dumps(digest))
    faked.rotation_answer = Done(status=0, output=json.dumps({**VERDICT, **verdict}))
    return drifting.drift("dev", forge=forge, environment={})


def test_an_issue_is_opened_updated_and_closed(
    faked: Engine, server: ForgeServer, forge: Forge
) -> None:
    assert look(faked, forge) == 0
    assert server.issues == []
    urn = "urn:pulumi:dev::mtls-pki::kubernetes:core/v1:ConfigMap::dev-mesh-trust-monoskope"
    assert look(faked, forge, {"steps": [{"op": "update", "urn": urn}]}) == 3
    (issue,) = server.issues
    assert "update kubernetes:core/v1:ConfigMap::dev-mesh-trust-monoskope" in issue.body
    notice = {"notice": "anchor-ends-soon", "message": "anchor g1 ends 2027-01-01"}
    pending = {"generation": "g2", "from": None, "to": "incoming"}
    assert look(faked, forge, notices=[notice], changes=[pending]) == 3
    assert "anchor g1 ends 2027-01-01" in issue.body
    assert "g2: absent -&gt; incoming" in issue.body
    assert "ConfigMap" not in issue.body
    assert look(faked, forge, notices=[{"notice": "canary-pending", "message": "x"}]) == 0
    assert not issue.open


@pytest.mark.parametrize(
    ("digest", "verdict", "words"),
    [
        (None, {}, "gave no digest"),
        (
            {"steps": [], "diagnostics": [{"severity": "error", "message": "no passphrase"}]},
            {},
            "failed: no passphrase",
        ),
        (DIGEST, {"notices": None}, "mtls-pki check"),
        (
            DIGEST,
            {"unreadClusters": [{"cluster": "west", "error": "timed out"}]},
            "cluster west cannot be read: timed out",
        ),
    ],
)
def test_what_cannot_be_read_is_no_drift(
    faked: Engine, server: ForgeServer, forge: Forge, digest: Any, verdict: Any, words: str
) -> None:
    with pytest.raises(CiError, match=words):
        look(faked, forge, digest, **verdict)
    assert server.issues == []


@pytest.mark.parametrize("text", ["{", '{"policyEvent": {}}\n', "[]\n{}x"])
def test_an_event_log_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    log = tmp_path / "events"
    log.write_text(text)
    with pytest.raises(CiError, match="is no event log of the engine"):
        read_findings(log)
