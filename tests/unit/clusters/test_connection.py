"""Reads over HTTP, and every way in which they fail: one message that names the cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_pki.clusters import connection
from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError
from tests.unit.clusters.api_server import ApiServer, address

PATH = "/apis/cert-manager.io/v1"


def test_a_read_returns_the_decoded_object(api: ApiServer, cluster: Cluster) -> None:
    api.answers[PATH] = (200, {"kind": "APIResourceList"})
    assert cluster.get(PATH) == {"kind": "APIResourceList"}


def test_a_query_is_sent_encoded(api: ApiServer, cluster: Cluster) -> None:
    api.answers[PATH] = (200, {})
    cluster.get(PATH, {"limit": "500", "fieldSelector": "a=b&c"})
    assert api.requests == [f"{PATH}?limit=500&fieldSelector=a%3Db%26c"]


def test_the_token_of_the_kubeconfig_is_sent(api: ApiServer, tmp_path: Path) -> None:
    api.answers[PATH] = (200, {})
    Cluster(address(tmp_path, api.url, token="t0k3n")).get(PATH)  # noqa: S106 made up here
    assert api.headers[0]["authorization"] == "Bearer t0k3n"


def test_connecting_sends_nothing(api: ApiServer, cluster: Cluster) -> None:
    assert cluster.server == api.url
    assert api.requests == []


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, {}, "the API server does not know these credentials; log in again"),
        (
            403,
            {"message": "User cannot get"},
            f"reading {PATH} is forbidden; grant what deploy/rbac-evidence.yaml grants",
        ),
        (
            500,
            {},
            f"reading {PATH} failed: 500 Internal Server Error; see whether the API server is "
            "healthy (kubectl get --raw /readyz), and run the same command again",
        ),
    ],
)
def test_a_refusal_says_why(
    api: ApiServer, cluster: Cluster, status: int, body: object, reason: str
) -> None:
    api.answers[PATH] = (status, body)
    with pytest.raises(ClusterError) as caught:
        cluster.get(PATH)
    assert str(caught.value) == f"cluster dev: {reason}"
    assert (caught.value.cluster, caught.value.reason) == ("dev", reason)


def test_a_login_page_is_no_answer(api: ApiServer, cluster: Cluster) -> None:
    api.answers[PATH] = (200, "<html>please log in")
    with pytest.raises(ClusterError) as caught:
        cluster.get(PATH)
    assert str(caught.value) == (
        f"cluster dev: {api.url} does not answer like an API server (no JSON at {PATH}); check "
        "kubeconfig and context of clusters.dev, and any proxy between"
    )


def assert_cannot_be_reached(cluster: Cluster, cause: str) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.get(PATH)
    assert str(caught.value) == (
        f"cluster dev: {cluster.server} cannot be reached ({cause}); check that it runs, and "
        "kubeconfig and context of clusters.dev"
    )
    assert caught.value.__cause__ is None


def test_a_refused_connection_names_the_server(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: refuses for sure
        taken.bind(("127.0.0.1", 0))
        cluster = Cluster(address(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}"))
        assert_cannot_be_reached(cluster, "[Errno 111] Connection refused")


def test_a_server_that_does_not_answer_is_given_up(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.slow = True
    monkeypatch.setattr(connection, "READ_SECONDS", 0.2)
    assert_cannot_be_reached(cluster, "Read timed out. (read timeout=0.2)")
    assert len(api.requests) == 1


def test_a_failed_read_is_not_repeated(api: ApiServer, cluster: Cluster) -> None:
    api.hang_up = True
    with pytest.raises(ClusterError, match="cannot be reached"):
        cluster.get(PATH)
    assert len(api.requests) == 1


def _missing(directory: Path) -> str:
    return str(directory / "missing")


def _not_yaml(directory: Path) -> str:
    (directory / "config").write_text("a: [")
    return str(directory / "config")


def _binary(directory: Path) -> str:
    (directory / "config").write_bytes(b"\xff\xfe\x00\x81")
    return str(directory / "config")


def _a_list(directory: Path) -> str:
    (directory / "config").write_text("- 1\n")
    return str(directory / "config")


@pytest.mark.parametrize("write", [_missing, _not_yaml, _binary, _a_list, str])
def test_an_unusable_kubeconfig_is_named(write: Callable[[Path], str], tmp_path: Path) -> None:
    kubeconfig = write(tmp_path)
    with pytest.raises(ClusterError) as caught:
        Cluster(ClusterAddress(name="dev", kubeconfig=kubeconfig))
    message = str(caught.value)
    assert message.startswith(f"cluster dev: {kubeconfig} cannot be used (")
    assert message.endswith("); correct clusters.dev")
    assert "\n" not in message


def test_a_context_that_is_not_in_the_kubeconfig_is_named(tmp_path: Path) -> None:
    kubeconfig = address(tmp_path, "http://127.0.0.1:1").kubeconfig
    with pytest.raises(ClusterError, match=r"cannot be used \(.*prod-eu.*\); correct clusters"):
        Cluster(ClusterAddress(name="dev", kubeconfig=kubeconfig, context="prod-eu"))
