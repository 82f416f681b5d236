"""Not seen is not absent: which answers mean that something is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mtls_pki.clusters.connection import Cluster, ClusterError
from tests.unit.clusters import wire
from tests.unit.clusters.api_server import ApiServer

V1 = "cert-manager.io/v1"
RECORD = "/api/v1/namespaces/cert-manager/configmaps/mesh-trust-stage"
CERTIFICATE = f"/apis/{V1}/namespaces/app/certificates/web"
CERTIFICATES = f"/apis/{V1}/certificates"
CONFIG_MAPS = "/api/v1/configmaps"
PROXY = "check kubeconfig and context of clusters.dev, and any proxy between"


def everything(live: dict[str, Any]) -> dict[str, Any]:
    return live


def assert_not_seen(read: Callable[[], object], *words: str) -> None:
    with pytest.raises(ClusterError) as caught:
        read()
    assert caught.value.cluster == "dev"
    for each in words:
        assert each in caught.value.reason


@pytest.mark.parametrize("path", [RECORD, CERTIFICATE, "/api/v1/namespaces/app"])
def test_an_object_is_absent_when_the_api_server_names_it(
    api: ApiServer, cluster: Cluster, path: str
) -> None:
    api.answers[path] = wire.not_found(path)
    assert cluster.get(path) is None
    assert api.requests == [path]


def _without(*keys: str) -> dict[str, Any]:
    _, status = wire.not_found(RECORD)
    return {key: value for key, value in status.items() if key not in keys}


@pytest.mark.parametrize(
    "body",
    [
        "<html><h1>404 Not Found</h1></html>",
        "404 page not found\n",
        "",
        "null",
        "[]",
        {},
        {"message": "no such route", "code": 404},
        {"kind": "Status", "code": 404},
        _without("kind"),
        _without("apiVersion"),
        _without("reason"),
        _without("details"),
        _without() | {"kind": "Error"},
        _without() | {"reason": "Forbidden"},
        _without() | {"details": "configmaps mesh-trust-stage"},
        # Teleport and Rancher answer like this where they do not know the cluster.
        _without() | {"details": {"kind": "clusters", "name": "dev"}},
        wire.not_found("/api/v1/namespaces/cert-manager/configmaps/other")[1],
        wire.not_found("/api/v1/namespaces/cert-manager/secrets/mesh-trust-stage")[1],
        wire.not_found("/apis/x.example.org/v1/configmaps/mesh-trust-stage")[1],
        wire.not_found("/api/v1/namespaces/cert-manager")[1],
    ],
    ids=str,
)
def test_any_other_404_about_an_object_is_not_seen(
    api: ApiServer, cluster: Cluster, body: object
) -> None:
    api.answers[RECORD] = (404, body)
    assert_not_seen(lambda: cluster.get(RECORD), f"{RECORD}: {api.url} answers 404", PROXY)


def test_a_path_that_is_no_object_is_never_absent(api: ApiServer, cluster: Cluster) -> None:
    api.answers["/version"] = (404, wire.NO_SUCH_PATH)
    assert_not_seen(lambda: cluster.get("/version"), "/version", PROXY)


def test_a_404_on_a_collection_of_the_core_api_is_never_empty(
    api: ApiServer, cluster: Cluster
) -> None:
    api.answers[CONFIG_MAPS] = (404, wire.NO_SUCH_PATH)
    assert_not_seen(lambda: cluster.list_all(CONFIG_MAPS, everything), CONFIG_MAPS, PROXY)


def test_a_kind_is_absent_when_discovery_does_not_name_its_group(
    api: ApiServer, cluster: Cluster
) -> None:
    api.served = {"apps/v1"}
    assert cluster.list_all(CERTIFICATES, everything) == []
    assert cluster.list_all(f"/apis/{V1}/issuers", everything) == []
    assert cluster.get(CERTIFICATE) is None
    assert cluster.not_served(V1) == ("certificates", "issuers")
    assert cluster.not_served("certificates.k8s.io/v1") == ()
    assert api.requests.count("/apis") == 1


def test_a_kind_is_absent_when_discovery_lists_its_version_without_it(
    api: ApiServer, cluster: Cluster
) -> None:
    api.served = {V1}
    api.answers[f"/apis/{V1}"] = (200, wire.resource_list(V1, {"issuers", "certificates/status"}))
    assert cluster.list_all(CERTIFICATES, everything) == []
    assert cluster.not_served(V1) == ("certificates",)


def test_what_is_served_and_empty_is_not_among_what_is_not_served(
    api: ApiServer, cluster: Cluster
) -> None:
    api.answers[CERTIFICATES] = (200, wire.page(CERTIFICATES, []))
    assert cluster.list_all(CERTIFICATES, everything) == []
    assert cluster.not_served(V1) == ()


def test_a_kind_that_discovery_lists_is_there_whatever_a_404_says(
    api: ApiServer, cluster: Cluster
) -> None:
    api.served = {V1}
    api.answers[f"/apis/{V1}"] = (200, wire.resource_list(V1, {"certificates"}))
    assert_not_seen(lambda: cluster.list_all(CERTIFICATES, everything), CERTIFICATES, PROXY)


@pytest.mark.parametrize(
    "resources",
    [(404, ""), (404, wire.NO_SUCH_PATH), (200, {"kind": "APIResourceList", "resources": []})],
)
def test_a_version_whose_resources_cannot_be_listed_is_not_seen(
    api: ApiServer, cluster: Cluster, resources: tuple[int, Any]
) -> None:
    api.served = {V1}
    api.answers[f"/apis/{V1}"] = resources
    assert_not_seen(
        lambda: cluster.list_all(CERTIFICATES, everything),
        f"/apis names {V1}, but /apis/{V1} does not list its resources",
        "kubectl get apiservices",
    )


def test_a_group_that_is_served_in_another_version_only_is_not_seen(
    api: ApiServer, cluster: Cluster
) -> None:
    api.served = {"cert-manager.io/v1alpha2"}
    assert_not_seen(
        lambda: cluster.list_all(CERTIFICATES, everything),
        f"{V1} is not served, but cert-manager.io/v1alpha2 is",
    )


@pytest.mark.parametrize(
    "groups",
    [
        (404, wire.NO_SUCH_PATH),
        (404, "<html>"),
        (200, "<html>"),
        (200, {}),
        (200, {"kind": "APIGroupList"}),
        (200, {"kind": "APIGroupList", "groups": None}),
        (200, {"kind": "APIGroupList", "groups": [{"name": "apps"}]}),
        (200, {"kind": "APIVersions", "groups": []}),
    ],
    ids=str,
)
def test_without_a_list_of_groups_nothing_is_absent(
    api: ApiServer, cluster: Cluster, groups: tuple[int, Any]
) -> None:
    api.answers["/apis"] = groups
    assert_not_seen(
        lambda: cluster.list_all(CERTIFICATES, everything), "no list of API groups at /apis", PROXY
    )


def test_discovery_that_is_forbidden_names_the_manifest(api: ApiServer, cluster: Cluster) -> None:
    api.answers["/apis"] = (403, {})
    assert_not_seen(
        lambda: cluster.list_all(CERTIFICATES, everything),
        "reading /apis is forbidden; grant what deploy/rbac-evidence.yaml grants",
    )


def test_a_list_that_ends_with_a_404_is_not_seen(api: ApiServer, cluster: Cluster) -> None:
    def begun(live: dict[str, Any]) -> dict[str, Any]:
        del api.answers[CERTIFICATES]
        return live

    api.answers[CERTIFICATES] = (200, wire.page(CERTIFICATES, [{}], token="more"))  # noqa: S106
    assert_not_seen(lambda: cluster.list_all(CERTIFICATES, begun), CERTIFICATES)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        '"please log in"',
        '{"error": "please log in"}',
        '{"kind": "Status", "apiVersion": "v1", "status": "Success"}',
        '{"kind": "ConfigMapList", "apiVersion": "v1", "items": []}',
        '{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "other"}}',
        '{"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "mesh-trust-stage"}}',
        '{"apiVersion": "v1", "metadata": {"name": "mesh-trust-stage"}}',
    ],
)
def test_an_answer_that_is_another_object_is_not_seen(
    api: ApiServer, cluster: Cluster, body: str
) -> None:
    api.answers[RECORD] = (200, body)
    assert_not_seen(lambda: cluster.get(RECORD), "does not answer like an API server", PROXY)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"items": []}',
        '{"kind": "CertificateList", "apiVersion": "cert-manager.io/v1"}',
        '{"kind": "CertificateList", "apiVersion": "cert-manager.io/v1", "items": {}}',
        '{"kind": "CertificateList", "apiVersion": "v1", "items": []}',
        '{"kind": "Certificate", "apiVersion": "cert-manager.io/v1", "items": []}',
    ],
)
def test_an_answer_that_is_no_list_of_the_kind_is_not_seen(
    api: ApiServer, cluster: Cluster, body: str
) -> None:
    api.answers[CERTIFICATES] = (200, body)
    assert_not_seen(
        lambda: cluster.list_all(CERTIFICATES, everything),
        "does not answer like an API server",
        PROXY,
    )


def test_an_empty_list_may_be_null(api: ApiServer, cluster: Cluster) -> None:
    body = wire.page(CERTIFICATES, []) | {"items": None}
    api.answers[CERTIFICATES] = (200, body)
    assert cluster.list_all(CERTIFICATES, everything) == []
