"""Which Certificates hang on an older CA, and the condition that is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from mtls_pki.clusters.connection import ClusterError, cluster_address
from mtls_pki.clusters.issuing_condition import CertificateClient, ConflictError
from mtls_pki.clusters.reissue_candidates import Certificate, read_stale, read_target
from mtls_pki.errors import CommandError
from mtls_pki.rotation.roles import Role
from tests.loopback import serving
from tests.unit.clusters.api_server import address
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CERTIFICATES, REQUESTS, STAGE, certificate, request, root
from tests.unit.pki import material
from tests.unit.pki.material import key, key_pem
from tests.unit.stack_project import Project, Say, stage

STABLE = {"kind": "ClusterIssuer", "name": "mtls-ca"}


def chain(generation: str, authority: str = "i1") -> str:
    """A leaf as the stable issuer makes it."""
    name = f"issuing-{generation}-{authority}"
    issuing = material.issuing(name, root_pem=root(generation), root_key=key_pem(generation))
    return material.leaf(issuing, key(name)) + issuing


def live(name: str, **more: Any) -> dict[str, Any]:
    made = certificate(name, issuer=more.pop("issuer", STABLE), **more)
    made["metadata"] |= {"resourceVersion": "7", "generation": 3}
    return made


def issued(name: str, pem: str, revision: int = 1) -> dict[str, Any]:
    return request(
        pem, name=f"{name}-{revision}", certificate=name, revision=revision, issuer=STABLE
    )


@pytest.fixture
def promoted(project: Project, api: Api) -> Api:
    """A domain whose g2 issues since the last update."""
    project.run("add", "g2")
    project.run("promote")
    api.objects[STAGE] = stage(g1=Role.OUTGOING, g2=Role.ISSUING)
    api.objects[CERTIFICATES] = []
    api.objects[REQUESTS] = []
    return api


def stale(project: Project) -> dict[str, str]:
    settings = project.stack().settings()
    client = CertificateClient(cluster_address(settings, "dev"))
    found = read_stale(client.cluster, settings, read_target(client.cluster, settings), ())
    return {each.certificate.place: each.why for each in found}


def test_only_what_an_older_ca_issued_is_stale(project: Project, promoted: Api) -> None:
    promoted.objects[CERTIFICATES] = [
        live("old"),
        live("new"),
        live("again", revision=2),
        live("gone", revision=4),
        live("never", revision=None, notAfter=None),
        live("elsewhere", issuer={"kind": "ClusterIssuer", "name": "mtls-ca-g1-i1"}),
        live("namesake", issuer={"kind": "Issuer", "name": "mtls-ca"}),
        live("former-authority"),
    ]
    promoted.objects[REQUESTS] = [
        issued("old", chain("g1")),
        issued("new", chain("g2")),
        issued("again", chain("g1"), 1),
        issued("again", chain("g2"), 2),
        issued("elsewhere", chain("g1")),
        issued("namesake", chain("g1")),
        issued("former-authority", chain("g2", "i0")),
    ]
    found = stale(project)
    assert found.pop("app/gone").startswith("the CertificateRequest that shows its signer is gone")
    assert found == {
        "app/old": "chains to g1",
        "app/former-authority": "was issued by CN=issuing-g2-i0.example.org",
    }


def test_what_was_issued_and_not_yet_written_counts(project: Project, promoted: Api) -> None:
    promoted.objects[CERTIFICATES] = [live("web")]
    promoted.objects[REQUESTS] = [issued("web", chain("g1")), issued("web", chain("g2"), 2)]
    assert stale(project) == {}


def test_two_pages_cost_two_requests(project: Project, promoted: Api) -> None:
    promoted.objects[CERTIFICATES] = [live(f"c{number}") for number in range(251)]
    promoted.objects[REQUESTS] = [issued(f"c{number}", chain("g1")) for number in range(251)]
    promoted.asked.clear()
    assert len(stale(project)) == 251
    assert len(promoted.asked) == 5  # the stage record, and two pages each


def test_a_dry_run_lists_and_a_namespace_is_asked_alone(
    project: Project, promoted: Api, said: Say
) -> None:
    promoted.objects[CERTIFICATES] = [live("old")]
    promoted.objects[REQUESTS] = [issued("old", chain("g1"))]
    assert project.run("reissue", "--dry-run") == 0
    out, err = said()[0], ""
    assert out == "dev/app/old: chains to g1\n"
    promoted.asked.clear()
    assert project.run("reissue", "--dry-run", "--namespace", "app", "--json") == 0
    out, err = said()
    document = json.loads(out)
    assert document["clusters"][0]["stale"] == 0  # nothing is served below that path here
    assert all("/namespaces/" in path for path in promoted.asked)
    assert err == ""


def test_nothing_to_do(project: Project, promoted: Api, said: Say) -> None:
    assert project.run("reissue") == 0
    assert said()[0] == "dev: nothing hangs on a CA older than that of g2\n"


def failed(name: str, issuer: dict[str, str], *, again: bool = False) -> dict[str, Any]:
    made = live(name, issuer=issuer, revision=None, notAfter=None)
    condition = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "sealed"}
    if again:
        condition |= {"status": "True", "reason": "ManuallyTriggered"}
    made["status"]["conditions"] = [condition]
    return made


def test_what_failed_is_issued_again_on_every_issuer_of_the_stack(
    project: Project, promoted: Api, said: Say
) -> None:
    promoted.objects[CERTIFICATES] = [
        failed("stable", STABLE),
        failed("named", {"kind": "ClusterIssuer", "name": "mtls-ca-g1-i1"}),
        failed("tried", STABLE, again=True),
        failed("foreign", {"kind": "ClusterIssuer", "name": "theirs"}),
        live("good"),
    ]
    # Neither needs it that a promotion is applied, nor that there is a stable issuer.
    promoted.objects[STAGE] = stage(g1=Role.ISSUING, g2=Role.INCOMING)
    assert project.run("reissue", "--failed", "--dry-run") == 0
    assert said()[0] == "dev/app/stable: sealed\ndev/app/named: sealed\n"
    project.write(project.read().replace("stable: true", "stable: false"))
    assert project.run("reissue", "--failed", "--dry-run", "--json") == 0
    (document,) = json.loads(said()[0])["clusters"]
    assert (document["stale"], document["generation"]) == (1, None)
    promoted.objects[CERTIFICATES] = [live("good")]
    assert project.run("reissue", "--failed") == 0
    assert said()[0] == "dev: no Certificate's last issuance failed\n"


def test_where_nothing_says_which_cluster_it_is_nothing_is_issued_again(
    project: Project, promoted: Api, said: Say
) -> None:
    promoted.objects[CERTIFICATES] = [failed("stable", STABLE)]
    del promoted.objects[STAGE]
    assert project.run("reissue", "--failed") == 1
    assert "has no record of this stack; correct kubeconfig and context" in said()[1]


def test_a_reader_without_rights_is_told_the_manifest_of_this_command(
    project: Project, promoted: Api, said: Say
) -> None:
    promoted.refused[CERTIFICATES] = 403
    assert project.run("reissue", "--failed") == 1
    assert "is forbidden; grant what deploy/rbac-reissue.yaml grants" in said()[1]


def test_without_a_stable_issuer_there_is_nothing_to_do(project: Project, said: Say) -> None:
    project.write(project.read().replace("stable: true", "stable: false"))
    assert project.run("reissue") == 1
    assert "mtls-pki: issuing.stable is false" in said()[1]


def test_a_promotion_that_is_not_applied_comes_first(
    project: Project, promoted: Api, said: Say
) -> None:
    promoted.objects[STAGE] = stage(g1=Role.ISSUING, g2=Role.INCOMING)
    said()
    assert project.run("reissue") == 1
    message = "cluster dev records g1 as issuing, and the stack file asks for g2; run `pulumi up`"
    assert message in said()[1]
    del promoted.objects[STAGE]
    settings = project.stack().settings()
    with pytest.raises(CommandError, match="records no stage"):
        read_target(CertificateClient(cluster_address(settings, "dev")).cluster, settings)


CERTIFICATE = Certificate(
    namespace="app",
    name="web",
    uid="u",
    resource_version="7",
    generation=3,
    revision=1,
    conditions=(
        {"type": "Ready", "status": "True", "message": "kept"},
        {"type": "Issuing", "status": "False", "reason": "Failed", "message": "old"},
        {"type": "Other", "status": "Unknown"},
    ),
)


@contextmanager
def patched(status: int, body: bytes = b"{}") -> Iterator[tuple[str, list[Any]]]:
    """Serve an API server that answers every PATCH with ``status``: address, and what was sent."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Content-Type"], json.loads(sent)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as url:
        yield url, seen


def test_the_condition_is_set_and_all_others_are_kept(project: Project) -> None:
    with patched(200) as (url, seen):
        client = CertificateClient(address(project.directory, url, name="dev"))
        client.mark_issuing(CERTIFICATE, message="why")
    ((path, content_type, body),) = seen
    collection = "/apis/cert-manager.io/v1/namespaces/app/certificates"
    assert path == f"{collection}/web/status?fieldManager=mtls-pki-reissue"
    assert content_type == "application/merge-patch+json"
    assert body["metadata"] == {"resourceVersion": "7"}
    ready, other, marked = body["status"]["conditions"]
    assert [ready, other] == [CERTIFICATE.conditions[0], CERTIFICATE.conditions[2]]
    assert marked.pop("lastTransitionTime").endswith("Z")
    assert marked == {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "why",
        "observedGeneration": 3,
    }


@pytest.mark.parametrize("status", [409, 404])
def test_a_change_meanwhile_is_a_conflict(project: Project, status: int) -> None:
    with patched(status) as (url, _):
        client = CertificateClient(address(project.directory, url, name="dev"))
        with pytest.raises(ConflictError):
            client.mark_issuing(CERTIFICATE, message="why")


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "grant what deploy/rbac-reissue.yaml grants"), (422, "failed: 422 too long")],
)
def test_a_refusal_is_told(project: Project, status: int, message: str) -> None:
    with patched(status, b'{"message": "too long"}') as (url, _):
        client = CertificateClient(address(project.directory, url, name="dev"))
        with pytest.raises(ClusterError, match=message):
            client.mark_issuing(CERTIFICATE, message="why")


def test_an_api_server_that_is_away_is_told(project: Project) -> None:
    with patched(200) as (url, _):
        client = CertificateClient(address(project.directory, url, name="dev"))
    with pytest.raises(ClusterError, match="cannot be reached"):
        client.mark_issuing(CERTIFICATE, message="why")
