"""Not seen is not absent, on real API servers: 404s, clusters behind a name, rights that lack."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api, ApiError
from lab.control_plane import ControlPlane
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import extensions
from mtls_pki.rotation.clocks import skew_notices
from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.verdict import judge
from mtls_pki.settings.model import Settings, settings_model
from mtls_pki.settings.trust_domain import change_request
from tests.integration.lab_fixtures import Lab
from tests.integration.support.cluster import wait_for
from tests.integration.support.kubelet import strip
from tests.unit.settings.configuration import changed

pytestmark = pytest.mark.lab

V1 = "cert-manager.io/v1"
CERTIFICATES = f"/apis/{V1}/certificates"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACE = "/api/v1/namespaces/cert-manager"
RECORD = f"{NAMESPACE}/configmaps/mesh-trust-stage"
STAGE = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint="ab" * 32)})


def everything(live: dict[str, Any]) -> dict[str, Any]:
    return live


def read(clusters: dict[str, Path], **changes: Any) -> Evidence:
    reach = {name: {"kubeconfig": str(path)} for name, path in clusters.items()}
    values = changed({"clusters": reach, **changes})
    return collect_evidence(settings_of(values))


def settings_of(values: dict[str, Any]) -> Settings:
    owner = {"owner": "mtls-pki/test"}
    return settings_model(extensions()).model_validate(values, context=owner)


def missing(evidence: Evidence) -> str:
    """Why a cluster could not be read; empty where all of them could."""
    return next((each.error for each in evidence.unreachable), "")


def put(api: Api, path: str, kind: str, **body: Any) -> None:
    metadata = {"name": path.rpartition("/")[2]}
    api.apply_text(
        path, json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, **body})
    )


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


class TestAnApiServerWithoutCertManager:
    @pytest.fixture(scope="class")
    def plane(self, lab: Lab) -> Iterator[ControlPlane]:
        (plane,) = lab.up("unserved")
        yield plane
        plane.down(purge=True)

    @pytest.fixture(scope="class")
    def api(self, plane: ControlPlane) -> Iterator[Api]:
        with contextlib.closing(plane.api()) as administrator:
            yield administrator

    def test_it_is_seen_from_one_missing_kind_to_all_of_them(
        self, plane: ControlPlane, api: Api
    ) -> None:
        """One test, for what goes away does not come back."""
        reach = {"dev": plane.kubeconfig}
        assert read(reach).unreachable == ()

        api.request("DELETE", f"{CRDS}/certificaterequests.cert-manager.io")
        unserved = f"{V1} is not served (certificaterequests), so nobody sees which leaves were"
        wait_for(
            lambda: missing(read(reach)).startswith(unserved),
            "evidence that a kind is not served",
        )
        assert read(reach, **{"certManager.install": True}).unreachable == ()

        strip(plane, api)
        wait_for(lambda: not _served(api), "end of cert-manager's API")
        wait_for(lambda: not api.exists(NAMESPACE), "end of the namespace")
        assert missing(read(reach)).endswith("; install cert-manager with its CRDs")
        assert read(reach, **{"certManager.install": True}).unreachable == ()

        put(api, NAMESPACE, "Namespace")
        put(api, RECORD, "ConfigMap", data={"stage.json": STAGE.to_json()})
        assert "install the CRDs of cert-manager again" in missing(
            read(reach, **{"certManager.install": True})
        )


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


def test_one_cluster_that_forbids_one_list_stops_every_write_of_trust(
    control_planes: tuple[ControlPlane, ...], tmp_path: Path
) -> None:
    """The stage does not change, but bundles may."""
    one, other = control_planes
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reads-all-but-requests"
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["cert-manager.io"],
            "resources": ["certificates", "issuers", "clusterissuers"],
            "verbs": ["list"],
        },
    ]
    manifest = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    binding = role.replace("clusterroles", "clusterrolebindings")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "half-blind"}
    with contextlib.closing(other.api()) as api:
        name = role.rpartition("/")[2]
        metadata = {"metadata": {"name": name}}
        api.apply_text(role, json.dumps({**manifest, **metadata, "rules": rules}))
        bound = {"roleRef": {**reference, "name": name}, "subjects": [subject]}
        api.apply_text(
            binding, json.dumps({**manifest, **metadata, **bound, "kind": "ClusterRoleBinding"})
        )
        kubeconfig = other.kubeconfig_for("half-blind", (), tmp_path / "kubeconfig")
        evidence = wait_for(
            lambda: _forbidden(read({"dev": one.kubeconfig, "prod": kubeconfig})),
            "RBAC that has taken effect",
        )
        for path in (binding, role):
            with contextlib.suppress(ApiError):
                api.request("DELETE", path)
    request = change_request(settings_of(changed({})), old=STAGE, new=STAGE)
    assert not request.changes
    verdict = judge(request, evidence, now=evidence.observed_at, mode=Mode.UP)
    assert "evidence-complete" in {refusal.rule.identifier for refusal in verdict.refusals}
    assert judge(request, evidence, now=evidence.observed_at, mode=Mode.PREVIEW).unread


def _forbidden(evidence: Evidence) -> Evidence | None:
    """The evidence, once only the list that the role leaves out is forbidden."""
    expected = f"reading /apis/{V1}/certificaterequests is forbidden; grant what deploy/rbac-"
    return evidence if missing(evidence).startswith(expected) else None
