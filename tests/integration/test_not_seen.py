"""Not seen is not absent, on real API servers: 404s, clusters behind a name, rights that lack."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.observed_domain import ObservedDomain, observe_domain
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.exit_status import ExitStatus
from mtls_pki.registry import extensions
from mtls_pki.rotation.clocks import skew_notices
from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.settings.model import Settings, settings_model
from tests.integration.lab_fixtures import Lab
from tests.integration.support.cluster import wait_for
from tests.integration.support.kubelet import strip
from tests.unit.settings.configuration import changed

pytestmark = pytest.mark.lab

V1 = "cert-manager.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
FORBIDDEN = f"reading /apis/{V1}/certificaterequests is forbidden"
NAMESPACE = "/api/v1/namespaces/cert-manager"
RECORD = f"{NAMESPACE}/configmaps/mesh-trust-stage"
STAGE = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint="ab" * 32)})


def everything(live: dict[str, Any]) -> dict[str, Any]:
    return live


def settings_for(clusters: dict[str, Path], **changes: Any) -> Settings:
    reach = {name: {"kubeconfig": str(path)} for name, path in clusters.items()}
    values, owner = changed({"clusters": reach, **changes}), {"owner": "mtls-pki/test"}
    return settings_model(extensions()).model_validate(values, context=owner)


def read(clusters: dict[str, Path], **changes: Any) -> Evidence:
    return collect_evidence(settings_for(clusters, **changes))


def missing(evidence: Evidence) -> str:
    """Why a cluster could not be read; empty where all of them could."""
    return next((each.error for each in evidence.unreachable), "")


def put(api: Api, path: str, kind: str, **body: Any) -> None:
    version = "/".join(path.split("/")[2 : 4 if path.startswith("/apis") else 3])
    metadata = {"name": path.rpartition("/")[2]}
    manifest = {"apiVersion": version, "kind": kind, "metadata": metadata, **body}
    api.apply_text(path, json.dumps(manifest))


class TestAnApiServerWithCertManager:
    @pytest.fixture
    def cluster(self, control_plane: ControlPlane) -> Cluster:
        return Cluster(ClusterAddress(name="dev", kubeconfig=str(control_plane.kubeconfig)))

    @pytest.mark.parametrize(
        "path",
        [
            "/api/v1/namespaces/no-such-namespace",
            "/api/v1/namespaces/default/configmaps/no-such-map",
            "/api/v1/namespaces/no-such-namespace/configmaps/no-such-map",
            f"/apis/{V1}/namespaces/default/certificates/no-such-certificate",
            f"/apis/{V1}/clusterissuers/no-such-issuer",
            "/apis/no-such-group.example.org/v1/namespaces/default/things/one",
        ],
    )
    def test_says_which_object_it_does_not_hold(self, cluster: Cluster, path: str) -> None:
        assert cluster.get(path) is None

    def test_says_which_kinds_it_does_not_serve(self, cluster: Cluster) -> None:
        assert cluster.serves(V1)
        assert not cluster.serves("no-such-group.example.org/v1")
        assert cluster.list_all(f"/apis/{V1}/nosuchkinds", everything) == []
        assert cluster.list_all("/apis/no-such-group.example.org/v1/things", everything) == []
        assert cluster.not_served(V1) == ("nosuchkinds",)

    def test_has_the_clock_of_this_machine_which_it_runs_on(
        self, control_plane: ControlPlane
    ) -> None:
        evidence = read({"dev": control_plane.kubeconfig})
        (found,) = evidence.reachable
        assert found.skew is not None
        assert abs(found.skew.offset) <= found.skew.uncertainty
        assert not [*skew_notices(evidence)]


@pytest.fixture
def unserved(lab: Lab) -> Iterator[ControlPlane]:
    """A control plane of this test's own, which loses cert-manager."""
    (plane,) = lab.up("unserved")
    yield plane
    plane.down(purge=True)


def test_an_api_that_is_not_served_is_seen_from_one_kind_to_all_of_them(
    unserved: ControlPlane,
) -> None:
    reach, install = {"dev": unserved.kubeconfig}, {"certManager.install": True}
    assert read(reach).unreachable == ()
    with contextlib.closing(unserved.api()) as api:
        api.request("DELETE", f"{CRDS}/certificaterequests.cert-manager.io")
        one = f"{V1} is not served (certificaterequests), so nobody sees which leaves were issued"
        wait_for(lambda: missing(read(reach)).startswith(one), "evidence that a kind is not served")
        assert read(reach, **install).unreachable == ()

        strip(unserved, api)
        wait_for(lambda: not _served(api), "end of cert-manager's API")
        wait_for(lambda: not api.exists(NAMESPACE), "end of the namespace")
        assert missing(read(reach)).endswith("; install cert-manager with its CRDs")
        assert read(reach, **install).unreachable == ()

        put(api, NAMESPACE, "Namespace")
        put(api, RECORD, "ConfigMap", data={"stage.json": STAGE.to_json()})
        assert "install the CRDs of cert-manager again" in missing(read(reach, **install))


def _served(api: Api) -> bool:
    groups = api.request("GET", "/apis")["groups"]
    return any(group["name"] == "cert-manager.io" for group in groups)


def test_a_kubeconfig_that_points_at_another_cluster_is_noticed(
    control_planes: tuple[ControlPlane, ...],
) -> None:
    one, other = control_planes
    first = read({"dev": one.kubeconfig, "prod": other.kubeconfig})
    pinned = {each.cluster: each.uid or "" for each in first.reachable}
    assert len({*pinned.values()} - {""}) == 2
    assert cluster_refusals(first, pinned) == []
    swapped = read({"dev": other.kubeconfig, "prod": one.kubeconfig})
    assert [each.rule.identifier for each in cluster_refusals(swapped, pinned)] == [
        "recorded-cluster",
        "recorded-cluster",
    ]
    (elsewhere,) = cluster_refusals(read({"dev": other.kubeconfig}), {"dev": pinned["dev"]})
    assert pinned["prod"] in elsewhere.seen[0]


def test_two_names_of_one_cluster_are_noticed(control_plane: ControlPlane) -> None:
    """simple-container-com/api, pull request 230: the wrong context was copied."""
    evidence = read({"dev": control_plane.kubeconfig, "dr": control_plane.kubeconfig})
    (refusal,) = cluster_refusals(evidence, {})
    assert refusal.rule.identifier == "one-name-per-cluster"


@pytest.fixture
def half_blind(control_planes: tuple[ControlPlane, ...], tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of the second cluster with all rights of evidence but one list."""
    _, other = control_planes
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["cert-manager.io"],
            "resources": ["certificates", "issuers", "clusterissuers"],
            "verbs": ["list"],
        },
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests"],
            "verbs": ["list"],
        },
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "half-blind"}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "half-blind"}
    with contextlib.closing(other.api()) as api:
        put(api, f"{RBAC}/clusterroles/half-blind", "ClusterRole", rules=rules)
        binding = f"{RBAC}/clusterrolebindings/half-blind"
        put(api, binding, "ClusterRoleBinding", roleRef=role, subjects=[user])
        yield other.kubeconfig_for("half-blind", (), tmp_path / "kubeconfig")
        for path in (binding, f"{RBAC}/clusterroles/half-blind"):
            api.request("DELETE", path)


def test_one_cluster_that_forbids_one_list_is_missing_where_no_stage_changes(
    control_planes: tuple[ControlPlane, ...], half_blind: Path
) -> None:
    settings = settings_for({"dev": control_planes[0].kubeconfig, "prod": half_blind})

    def domain() -> ObservedDomain | None:
        seen = observe_domain(settings, sources=SOURCES)
        return seen if FORBIDDEN in missing(seen.evidence) else None

    # Until RBAC has taken effect, more than that one list is forbidden.
    seen = wait_for(domain, "evidence without one list")
    assert [each.cluster for each in seen.evidence.reachable] == ["dev"]
    assert "grant what deploy/rbac-evidence.yaml grants" in missing(seen.evidence)
    assert seen.exit_code is ExitStatus.EVIDENCE_MISSING
    verdict = seen.verdict()
    assert [cluster for cluster, _ in verdict.unread] == ["prod"]
    assert "evidence-complete" in {refusal.rule.identifier for refusal in verdict.refusals}
    assert verdict.exit_code is ExitStatus.EVIDENCE_MISSING
