"""Whatever is asked of an API server, a refusal is one message with the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError
from mtls_pki.clusters.declared_secret import DeclaredSecret
from mtls_pki.clusters.issuing_condition import CertificateClient
from mtls_pki.clusters.reissue_candidates import Certificate
from mtls_pki.clusters.secret_restore import MANIFEST, create, lost
from mtls_pki.clusters.writer import ClusterWriter
from tests.unit.clusters.api_server import ApiServer, address

KEY = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"
SECRET = DeclaredSecret(
    cluster="dev",
    namespace="cert-manager",
    name="mesh-ca-g1",
    manifest={"kind": "Secret", "data": {"tls.key": KEY}},
)
CERTIFICATE = Certificate(
    namespace="app",
    name="web",
    uid="u",
    resource_version="7",
    generation=3,
    revision=1,
    conditions=(),
)


def writer(where: ClusterAddress) -> ClusterWriter:
    return ClusterWriter(where, manifest=MANIFEST, field_manager="mtls-pki")


def read(where: ClusterAddress) -> None:
    Cluster(where).get("/version")


def mark(where: ClusterAddress) -> None:
    CertificateClient(where).mark_issuing(CERTIFICATE, message="why")


def look(where: ClusterAddress) -> None:
    lost({"dev": writer(where)}, [SECRET])


def restore(where: ClusterAddress) -> None:
    create({"dev": writer(where)}, [SECRET])


STATUS = (
    "/apis/cert-manager.io/v1/namespaces/app/certificates/web/status",
    "/api/v1/namespaces/cert-manager/secrets/mesh-ca-g1",
)
ASKED: dict[Callable[[ClusterAddress], None], tuple[str, str]] = {
    read: ("reading /version", "deploy/rbac-evidence.yaml"),
    mark: (f"writing {STATUS[0]}", "deploy/rbac-reissue.yaml"),
    look: (f"reading {STATUS[1]}", "deploy/rbac-restore.yaml"),
    restore: ("creating in /api/v1/namespaces", "deploy/rbac-restore.yaml"),
}


def refused(ask: Callable[[ClusterAddress], None], where: ClusterAddress) -> str:
    with pytest.raises(ClusterError) as caught:
        ask(where)
    assert str(caught.value).startswith("cluster dev: ")
    assert caught.value.__cause__ is None
    return caught.value.reason


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "the API server does not know these credentials; log in again"),
        (403, "{doing} is forbidden; grant what {manifest} grants"),
        (
            429,
            "{doing} failed: 429 {said}; the API server has too much to do: wait, and run the "
            "same command again",
        ),
        (
            503,
            "{doing} failed: 503 {said}; see whether the API server is healthy (kubectl get "
            "--raw /readyz), and run the same command again",
        ),
        (
            422,
            "{doing} failed: 422 {said}; the API server does not take this request: see whether "
            "its version is a supported one",
        ),
    ],
)
def test_a_refusal_names_the_request_the_remedy_and_the_manifest(
    api: ApiServer,
    tmp_path: Path,
    ask: Callable[[ClusterAddress], None],
    status: int,
    reason: str,
) -> None:
    api.otherwise = (status, {"message": "its own words"})
    doing, manifest = ASKED[ask]
    http = {429: "Too Many Requests", 503: "Service Unavailable", 422: "Unprocessable "}
    said = refused(ask, address(tmp_path, api.url))
    expected = reason.format(doing=doing, manifest=manifest, said="SAID")
    before, _, after = expected.partition("SAID")
    assert said.startswith(before)
    assert said.endswith(after)
    if after:
        # Only of a write that holds no secret are the server's own words shown.
        assert ("its own words" if ask is mark else http[status]) in said


@pytest.mark.parametrize("ask", ASKED)
def test_a_server_that_hangs_up_is_named_with_the_remedy(
    api: ApiServer, tmp_path: Path, ask: Callable[[ClusterAddress], None]
) -> None:
    api.hang_up = True
    said = refused(ask, address(tmp_path, api.url))
    assert said.startswith(f"{api.url} cannot be reached (")
    assert said.endswith("); check that it runs, and kubeconfig and context of clusters.dev")
    assert len(api.requests) == 1


def test_nothing_of_a_secret_is_in_a_message(api: ApiServer, tmp_path: Path) -> None:
    secrets = "/api/v1/namespaces/cert-manager/secrets"
    api.answers["/api/v1/namespaces"] = (409, {})
    api.answers[secrets] = (400, {"message": f"cannot decode {KEY}"})
    said = refused(restore, address(tmp_path, api.url))
    assert api.sent[-1] == ("POST", SECRET.manifest)
    assert KEY not in said
    assert said.startswith(f"creating in {secrets} failed: 400 Bad Request; ")


def test_a_namespace_that_does_not_exist_is_told(api: ApiServer, tmp_path: Path) -> None:
    said = refused(restore, address(tmp_path, api.url))
    assert said.endswith(
        "it does not exist, or this API server does not serve its kind: create or install it first"
    )


def test_a_read_that_is_too_old_is_told(api: ApiServer, tmp_path: Path) -> None:
    api.otherwise = (410, {})
    assert refused(read, address(tmp_path, api.url)) == (
        "reading /version failed: 410 Gone; what was read is too old by now: run the same command "
        "again"
    )


def test_a_secret_that_is_there_is_left_alone(api: ApiServer, tmp_path: Path) -> None:
    api.otherwise = (200, {"kind": "Secret", "data": {"tls.crt": "b3RoZXI="}})
    said = refused(look, address(tmp_path, api.url))
    assert said.startswith(
        "dev/cert-manager Secret mesh-ca-g1 is there with another content than the backup has, "
    )
    assert api.sent == []


def test_a_secret_that_was_not_lost_is_no_obstacle(api: ApiServer, tmp_path: Path) -> None:
    secret = replace(SECRET, manifest={"stringData": {"tls.crt": "own"}})
    api.otherwise = (200, {"kind": "Secret", "data": {"tls.crt": "b3du"}})
    clusters = {"dev": writer(address(tmp_path, api.url))}
    assert lost(clusters, [secret]) == ()


def test_a_secret_that_somebody_else_made_meanwhile_is_told(api: ApiServer, tmp_path: Path) -> None:
    api.otherwise = (409, {})
    assert "was made by somebody else just now" in refused(restore, address(tmp_path, api.url))


def test_what_is_restored_belongs_to_the_stack(api: ApiServer, tmp_path: Path) -> None:
    api.otherwise = (201, {})
    restore(address(tmp_path, api.url))
    assert [path.partition("?")[2] for path in api.requests] == ["fieldManager=mtls-pki"] * 2
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}
    assert api.sent == [("POST", namespace), ("POST", SECRET.manifest)]
