"""A whole rotation through pull requests: what each is told, what is applied, what is refused.

A repository gets the history of a rotation, with a change that is refused and one that is reverted;
the commands of the workflows run on each commit, against a real control plane, with the identities
that deploy/ ships and a forge on loopback. The pages are compared with ``golden/workflows``; after
a change of the page write them anew and read the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/integration/test_workflows.py -n 0
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.pulumi_cli import open_engine
from mtls_pki.pages.markers import review_marker
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.configuration import generated
from tests.integration.support.forge_flow import Flow, Pull, git
from tests.integration.support.pages import scrubbed
from tests.integration.support.project import PROJECT
from tests.integration.support.secrets import assert_no_private_key
from tests.unit.ci.forge_server import ForgeServer, serve

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("workflows"),
    pytest.mark.timeout(1500),
]

NAMESPACE = "shop"
HOLD_DOWN_SECONDS = 3
GOLDEN = Path(__file__).parent / "golden" / "workflows"
CONTEXT = "mtls-pki/preview/dev"
BUNDLE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/mesh-trust"
REFUSED, DRIFTED = 3, 3
ACCOUNT = "system:serviceaccount:cert-manager:mtls-pki-evidence"
GROUPS = ("system:serviceaccounts", "system:authenticated")


def configuration(hold_down: str, **anchors: str) -> str:
    """The stack file with these generations in these roles."""
    values: dict[str, Any] = {
        "trustDomain": "shop.example.org",
        "clusters": {"dev": {"kubeconfig": ".lab/dev/kubeconfig"}},
        "anchors": {name: generated(name, "shop", role) for name, role in anchors.items()},
        "issuing": {"kind": "Issuer", "name": "shop-ca", "intermediate": {}},
        "trust": {
            "name": "mesh-trust",
            "namespaces": [NAMESPACE],
            "createNamespaces": True,
            "holdDown": hold_down,
        },
        "services": {"web": {"namespace": NAMESPACE}, "db": {"namespace": NAMESPACE}},
    }
    shipped = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())
    config = {f"mtls-pki:{key}": value for key, value in values.items()}
    return yaml.safe_dump({**shipped, "config": config}, sort_keys=False)


HOLD = f"{HOLD_DOWN_SECONDS}s"


@dataclass(kw_only=True)
class Walk:
    """What happened: exit status by name of the job, and the page by name of the change."""

    flow: Flow
    api: Api
    reader: str
    writer: str
    status: dict[str, int] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, Pull] = field(default_factory=dict)
    merges: dict[str, str] = field(default_factory=dict)

    @property
    def forge(self) -> ForgeServer:
        return self.flow.forge

    def propose(self, name: str, text: str | None = None) -> Pull:
        """Open a pull request: the stack file as ``text``, or what the branch has already."""
        if text is not None:
            self.flow.branch(name)
            (self.flow.repository / "Pulumi.dev.yaml").write_text(text)
            self.flow.commit(name)
        pull = self.pulls[name] = self.flow.open_pull()
        self.preview(name)
        return pull

    def preview(self, name: str) -> None:
        pull = self.pulls[name]
        self.status[f"preview {name}"], _ = self.flow.job(
            pull.merge, self.reader,
            "preview", "--stack", "dev", "--change", str(pull.number), "--commit", pull.head,
            "--output", str(self.flow.root / "review"),
        )  # fmt: skip
        (note,) = self.forge.comments[pull.number]
        self.pages[name] = note.body

    def deploy(self, name: str) -> None:
        self.merges[name] = self.flow.merge(self.pulls[name])
        self.status[f"deploy {name}"] = self.deploy_commit(self.merges[name])

    def deploy_commit(self, commit: str) -> int:
        return self.flow.job(commit, self.writer, "deploy", "--stack", "dev")[0]

    def drift(self, name: str) -> None:
        self.status[name], _ = self.flow.job(self.flow.head, self.reader, "drift", "--stack", "dev")

    def hold_down(self) -> None:
        # Times in the API server's records are whole seconds.
        time.sleep(HOLD_DOWN_SECONDS + 1)


def grant(api: Api) -> None:
    """Apply the shipped rights of the read-only identity."""
    for name in ("rbac-evidence.yaml", "rbac-trace.yaml", "rbac-drift.yaml"):
        for document in yaml.safe_load_all((PROJECT / "deploy" / name).read_text()):
            api.apply(document)


@pytest.fixture(scope="module")
def walk(lab: Lab) -> Iterator[Walk]:
    (plane,) = lab.up("workflows")
    # Its state holds keys: gone when the module is.
    with (
        contextlib.closing(plane.api()) as api,
        serve() as forge,
        contextlib.ExitStack() as stack,
    ):
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mtls-pki-flow-")))
        walk = start(root, plane, api, forge)
        rotate(walk)
        look_for_drift(walk)
        yield walk


def start(root: Path, plane: ControlPlane, api: Api, forge: ForgeServer) -> Walk:
    grant(api)
    reader = plane.kubeconfig_for(ACCOUNT, GROUPS, root / "reader")
    engine = open_engine(root / "repository", root / "engine")
    flow = Flow(root=root, forge=forge, engine=engine)
    made = engine.run("stack", "init", "dev")
    assert made.returncode == 0, made.stderr
    git(flow.repository, "clean", "-qfd")
    return Walk(flow=flow, api=api, reader=reader.read_text(), writer=plane.kubeconfig.read_text())


def rotate(walk: Walk) -> None:
    walk.propose("first", configuration(HOLD, g1="issuing"))
    walk.deploy("first")
    walk.propose("add", configuration(HOLD, g1="issuing", g2="incoming"))
    walk.deploy("add")
    walk.propose("promote-too-early", configuration("10m", g1="outgoing", g2="issuing"))
    walk.hold_down()
    walk.propose("promote", configuration(HOLD, g1="outgoing", g2="issuing"))
    walk.deploy("promote")
    walk.flow.branch("revert")
    git(walk.flow.repository, "revert", "--no-edit", "-m", "1", walk.merges["promote"])
    walk.propose("revert")
    walk.deploy("revert")
    walk.propose("promote-again", configuration(HOLD, g1="outgoing", g2="issuing"))
    walk.deploy("promote-again")
    walk.hold_down()
    walk.propose("retire", configuration(HOLD, g2="issuing"))
    # Another change is merged in between, so what is merged is not what was previewed.
    walk.flow.branch("note")
    (walk.flow.repository / "NOTES.md").write_text("Unrelated.\n")
    walk.flow.commit("note")
    walk.pulls["note"] = walk.flow.open_pull()
    walk.merges["note"] = walk.flow.merge(walk.pulls["note"])
    walk.merges["stale retire"] = walk.flow.merge(walk.pulls["retire"])
    walk.status["deploy stale retire"] = walk.deploy_commit(walk.merges["stale retire"])
    # Brought up to date, previewed again and merged.
    git(walk.flow.repository, "reset", "-q", "--hard", walk.merges["note"])
    git(walk.flow.repository, "switch", "-q", "retire")
    git(walk.flow.repository, "merge", "-q", "--no-edit", "main")
    number = walk.pulls["retire"].number
    head = walk.flow.head
    walk.pulls["retire"] = Pull(number=number, head=head, merge=head)
    git(walk.flow.repository, "switch", "-q", "main")
    walk.preview("retire")
    walk.deploy("retire")


def look_for_drift(walk: Walk) -> None:
    walk.drift("drift of nothing")
    bundle = walk.api.request("GET", BUNDLE)["data"]["ca.crt"]
    foreign = Path(PROJECT / "trust" / "prod" / "root-g1.pem").read_text()
    cluster.patch(walk.api, BUNDLE, {"data": {"ca.crt": bundle + foreign}})
    walk.drift("drift of a bundle")
    walk.drift("drift of a bundle again")
    cluster.patch(walk.api, BUNDLE, {"data": {"ca.crt": bundle}})
    walk.drift("drift that is over")


CHANGES = ("first", "add", "promote-too-early", "promote", "revert", "promote-again", "retire")


def test_a_refused_change_is_red_and_all_others_are_applied(walk: Walk) -> None:
    expected = {f"preview {name}": 0 for name in CHANGES} | {
        f"deploy {name}": 0 for name in CHANGES
    }
    expected["preview promote-too-early"] = REFUSED
    del expected["deploy promote-too-early"]
    expected["deploy stale retire"] = 1
    seen = {name: code for name, code in walk.status.items() if not name.startswith("drift")}
    assert seen == expected, "\n".join(walk.flow.printed)


def test_every_change_has_one_comment_and_a_status_of_its_head(walk: Walk) -> None:
    for name in CHANGES:
        (note,) = walk.forge.comments[walk.pulls[name].number]
        assert note.body.startswith(review_marker("dev"))
        context, passed, text = walk.forge.statuses[walk.pulls[name].head][-1]
        assert (context, passed) == (CONTEXT, name != "promote-too-early")
        assert text.endswith(
            git(walk.flow.repository, "rev-parse", f"{walk.pulls[name].merge}^{{tree}}")
        )


def test_what_no_preview_saw_was_not_applied(walk: Walk) -> None:
    (said,) = (each for each in walk.flow.printed if "are not those that the preview" in each)
    assert "bring the change up to date" in said


@pytest.mark.parametrize("name", CHANGES)
def test_the_page_is_as_it_was_reviewed(walk: Walk, name: str) -> None:
    path = GOLDEN / f"{CHANGES.index(name) + 1}-{name}.md"
    page = scrubbed(walk.pages[name])
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page)
    assert page == path.read_text()


def test_drift_opens_updates_and_closes_one_issue(walk: Walk) -> None:
    drifts = {name: code for name, code in walk.status.items() if name.startswith("drift")}
    assert drifts == {
        "drift of nothing": 0,
        "drift of a bundle": DRIFTED,
        "drift of a bundle again": DRIFTED,
        "drift that is over": 0,
    }, "\n".join(walk.flow.printed)
    (issue,) = walk.forge.issues
    assert not issue.open
    assert "ConfigMap" in issue.body
    assert "which is no anchor of this domain" in issue.body
    assert not any("PATCH /github/repos/team/mtls-pki/issues/" in r for r in again(walk))


def again(walk: Walk) -> list[str]:
    """The requests between the first and the second report of the same drift."""
    made = walk.forge.requests
    opened = made.index("POST /github/repos/team/mtls-pki/issues")
    closing = next(n for n, r in enumerate(made) if n > opened and r.endswith("/comments"))
    return made[opened:closing]


@pytest.mark.parametrize(
    ("verb", "group", "resource", "name"),
    [
        ("get", "", "secrets", "shop-ca-g2-i1"),
        ("get", "", "configmaps", "something-else"),
        ("patch", "", "configmaps", "mesh-trust"),
        ("patch", "cert-manager.io", "certificates", "web"),
        ("delete", "cert-manager.io", "issuers", "shop-ca-g2-i1"),
        ("create", "cert-manager.io", "certificaterequests", ""),
    ],
)
def test_previews_and_drift_may_do_nothing_else(
    walk: Walk, verb: str, group: str, resource: str, name: str
) -> None:
    attributes = {"verb": verb, "group": group, "resource": resource, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": ACCOUNT,
            "groups": list(GROUPS),
            "resourceAttributes": {**attributes, "namespace": NAMESPACE},
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert walk.api.request("POST", path, review)["status"]["allowed"] is False


def test_no_key_stands_in_a_page_or_in_a_log(walk: Walk) -> None:
    secrets = cluster.secret(walk.api, NAMESPACE, "shop-ca-g2-i1")
    texts = {f"page {name}": page for name, page in walk.pages.items()}
    texts |= {f"job {n}": said for n, said in enumerate(walk.flow.printed)}
    texts |= {path.name: path.read_text() for path in walk.flow.root.glob("review/*")}
    assert_no_private_key(texts, keys=[secrets["tls.key"]])
