"""``mtls-pki`` on a real stack: a whole rotation with Certificates of other teams."""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import Api, ApiError
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.project import PROJECT
from tests.integration.support.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "rotated"
TEAM = 60
CERTIFICATES = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates"
RBAC = PROJECT / "deploy" / "rbac-reissue.yaml"
ACCOUNT = "mtls-pki-reissue"
# The same stack, seen with no more rights than the manifest grants.


def must(stack: Stack, *arguments: str) -> str:
    done = stack.rotation(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def report(stack: Stack, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stack.rotation(*arguments, "--json").stdout)
    return document


def team_certificate(number: int) -> dict[str, Any]:
    name = f"team-{number:02}"
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": NAME},
        "spec": {
            "secretName": f"{name}-tls",
            "dnsNames": [f"{name}.example.org"],
            "issuerRef": {"name": f"{NAME}-ca", "kind": "Issuer"},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        },
    }


def team_revisions(api: Api) -> list[int]:
    return [
        live.get("status", {}).get("revision", 0)
        for name, live in cluster.certificates(api, NAME).items()
        if name.startswith("team-")
    ]


def triggered_by_itself(api: Api) -> Counter[str]:
    """How often cert-manager began an issuance that nobody had asked for, by Certificate.

    It tells each as an event (cert-manager, certificates/trigger); one that is asked for by the
    condition Issuing has none of that controller.
    """
    query = "fieldSelector=reason%3DIssuing%2CinvolvedObject.kind%3DCertificate"
    found: Counter[str] = Counter()
    for event in api.request("GET", f"/api/v1/namespaces/{NAME}/events?{query}")["items"]:
        name = event["involvedObject"]["name"]
        component = event["source"].get("component", "")
        if name.startswith("team-") and component.endswith("certificates-trigger"):
            found[name] += event.get("count") or 1
    return found


def all_issued(api: Api) -> bool:
    """Whether every team Certificate was issued; on a busy machine some of them twice."""
    team = [
        live for name, live in cluster.certificates(api, NAME).items() if name.startswith("team-")
    ]
    issued = [each for each in team if cluster.is_ready(each) and not cluster.is_being_issued(each)]
    return len(issued) == TEAM and 0 not in team_revisions(api)


def grant(api: Api) -> None:
    """Apply the shipped manifest, for this stack's name of the stage record."""
    text = RBAC.read_text().replace("mesh-trust-stage", f"{NAME}-trust-stage")
    for document in yaml.safe_load_all(text):
        api.apply(document)


@pytest.fixture(scope="module")
def stack(plane: ControlPlane, api: Api, make_stack: MakeStack) -> Iterator[Stack]:
    """The stack with its first anchor, and Certificates of another team on the stable issuer."""
    stack = make_stack(NAME)
    see_with(stack, plane.kubeconfig)
    stack.write(small_stack(NAME, Path("kubeconfig"), issuing={"stable": True}))
    stack.init()
    stack.up()
    for number in range(TEAM):
        certificate = team_certificate(number)
        path = f"{CERTIFICATES}/{certificate['metadata']['name']}"
        api.apply_text(path, json.dumps(certificate))
    cluster.wait_for(lambda: all_issued(api), "team certificates", seconds=180)
    grant(api)
    yield stack
    for document in yaml.safe_load_all(RBAC.read_text()):
        if document["kind"] in ("ClusterRole", "ClusterRoleBinding"):
            plural = f"{document['kind'].lower()}s"
            with contextlib.suppress(ApiError):
                api.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{plural}/{ACCOUNT}")


@contextlib.contextmanager
def reissuer(stack: Stack, plane: ControlPlane, directory: Path) -> Iterator[None]:
    """Let commands see the cluster with the reissuer's rights inside."""
    kubeconfig = plane.kubeconfig_for(
        f"system:serviceaccount:cert-manager:{ACCOUNT}",
        ("system:serviceaccounts", "system:serviceaccounts:cert-manager", "system:authenticated"),
        directory / "kubeconfig",
    )
    see_with(stack, kubeconfig)
    try:
        yield
    finally:
        see_with(stack, plane.kubeconfig)


def see_with(stack: Stack, kubeconfig: Path) -> None:
    link = stack.project / "kubeconfig"
    link.unlink(missing_ok=True)
    link.symlink_to(kubeconfig)


def await_safe(stack: Stack) -> None:
    cluster.wait_for(lambda: stack.rotation("check").returncode == 0, "a safe verdict", seconds=90)


def test_a_whole_rotation(stack: Stack, plane: ControlPlane, api: Api, tmp_path: Path) -> None:
    out = must(stack, "status")
    assert "steady" in out
    assert "next: nothing needs to be done" in out
    assert report(stack, "status")["clusters"][0]["leavesBySigner"][0]["leaves"] == TEAM + 2
    assert must(stack, "check") == "safe: no change of trust\n"
    assert "Add g2 as incoming" in must(stack, "plan")

    must(stack, "add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    assert must(stack, "check") == "safe: g2: absent -> incoming\n"
    stack.up()
    must(stack, "promote")
    with reissuer(stack, plane, tmp_path):
        early = stack.rotation("reissue")
    assert early.returncode == 1
    assert "records g1 as issuing" in early.stderr
    await_safe(stack)
    stack.up()

    status = report(stack, "status")
    signers = {
        each["generation"]: each["leaves"] for each in status["clusters"][0]["leavesBySigner"]
    }
    assert signers == {"g1": TEAM, "g2": 2}
    before = stack.file.read_text()
    must(stack, "retire")
    blocked = stack.rotation("check")
    assert blocked.returncode == 3
    assert "Certificate team-00: chains to g1" in blocked.stdout
    assert "more\n" in blocked.stdout
    stack.file.write_text(before)

    with reissuer(stack, plane, tmp_path):
        _reissue_broken_off_and_run_again(stack, api)

    must(stack, "retire")
    await_safe(stack)
    stack.up()
    done = report(stack, "status")
    assert done["phase"] == "steady"
    assert [anchor["generation"] for anchor in done["anchors"]] == ["g2"]
    assert done["notices"] == []


def _reissue_broken_off_and_run_again(stack: Stack, api: Api) -> None:
    first, before = team_revisions(api), triggered_by_itself(api)
    # Its first certificate nobody had asked for, so the counting sees what it is to see.
    assert len(before) == TEAM
    listed = must(stack, "reissue", "--dry-run").splitlines()
    assert len(listed) == TEAM
    assert listed[0] == f"dev/{NAME}/team-00: chains to g1"
    assert team_revisions(api) == first

    process = stack.start_rotation("reissue", "--batch", "15", "--rate", "15")
    try:
        cluster.wait_for(
            lambda: sum(team_revisions(api)) > sum(first) + 17, "second batch", seconds=120
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, out + err
    assert "interrupted" in err
    assert f"of {TEAM} reissued from g2" in out
    assert " left" in out
    left = [now == then for now, then in zip(team_revisions(api), first, strict=True)]
    assert any(left)

    again = stack.rotation("reissue")
    assert again.returncode == 0, again.stdout + again.stderr
    # Each was issued again exactly once, by both runs together; beside that cert-manager issues by
    # itself what it takes for stale, where its view of Secrets is behind that of Certificates.
    own = triggered_by_itself(api) - before
    assert team_revisions(api) == [
        revision + 1 + own[f"team-{number:02}"] for number, revision in enumerate(first)
    ]
    for live in cluster.certificates(api, NAME).values():
        assert cluster.is_ready(live)
    assert "nothing hangs on a CA older" in must(stack, "reissue")


@pytest.mark.parametrize(
    ("verb", "group", "resource", "name"),
    [
        ("list", "", "secrets", ""),
        ("get", "", "secrets", f"{NAME}-ca-g2-i1"),
        ("update", "", "configmaps", f"{NAME}-trust-stage"),
        ("patch", "cert-manager.io", "certificates", "team-00"),
        ("delete", "cert-manager.io", "certificates", "team-00"),
        ("patch", "cert-manager.io", "issuers", f"{NAME}-ca"),
        ("create", "cert-manager.io", "certificaterequests", ""),
    ],
)
def test_the_reissuer_may_do_nothing_else(
    stack: Stack, api: Api, verb: str, group: str, resource: str, name: str
) -> None:
    attributes = {"verb": verb, "group": group, "resource": resource, "name": name}
    for namespace in (NAME, "cert-manager"):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:cert-manager:{ACCOUNT}",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {**attributes, "namespace": namespace},
            },
        }
        answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        assert answer["status"]["allowed"] is False
