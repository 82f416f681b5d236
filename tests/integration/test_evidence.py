"""Evidence of a real API server and cert-manager, read with the rights that the project ships."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.pki.certificates import Validity, root_certificate
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.registry import extensions
from mtls_pki.rotation.evidence import ClusterEvidence, LeafObservation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.settings.model import settings_model
from tests.integration.support import cluster
from tests.unit.pki.material import key_pem
from tests.unit.settings.configuration import changed

pytestmark = pytest.mark.lab

RBAC = Path(__file__).parents[2] / "deploy" / "rbac-evidence.yaml"
SERVICE_ACCOUNT = "mtls-pki-evidence"
# A namespace and an issuer of this module's own: other tests use the same control plane.
NAMESPACE = "evidence"
ISSUER = "evidence-ca"
CERT_MANAGER = "/apis/cert-manager.io/v1"
CERTIFICATES = f"{CERT_MANAGER}/namespaces/{NAMESPACE}/certificates"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
STAGE_RECORDS = "/api/v1/namespaces/cert-manager/configmaps"
COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/cert-manager/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/cert-manager/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/cert-manager/rolebindings",
}
NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = root_certificate(
    key_pem=key_pem("evidence"),
    common_name="root.evidence.example.org",
    validity=Validity(NOW - timedelta(days=1), NOW + timedelta(days=365)),
)
FINGERPRINT = spki_sha256(parse_certificate(ROOT, origin="root"))


def put(api: Api, collection: str, manifest: dict[str, Any]) -> None:
    api.apply_text(f"{collection}/{manifest['metadata']['name']}", json.dumps(manifest))


def core(kind: str, name: str, namespace: str | None = None, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


def cert_manager(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def service(name: str) -> dict[str, Any]:
    return cert_manager(
        "Certificate",
        name,
        {
            "secretName": f"{name}-tls",
            "dnsNames": [f"{name}.example.org"],
            "issuerRef": {"name": ISSUER, "kind": "Issuer"},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        },
    )


def wait(until: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, f"no {what} within 60 s"
        time.sleep(0.1)


def wait_until_ready(api: Api, name: str) -> None:
    wait(lambda: is_ready(api, f"{CERTIFICATES}/{name}"), f"Certificate {name} that is ready")


def is_ready(api: Api, path: str) -> bool:
    live = api.request("GET", path)
    if cluster.is_being_issued(live):
        return False
    conditions = live.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """The administrator; what is read stands in the cluster."""
    with contextlib.closing(control_plane.api()) as administrator:
        put(administrator, "/api/v1/namespaces", core("Namespace", NAMESPACE))
        for document in yaml.safe_load_all(RBAC.read_text()):
            put(administrator, COLLECTIONS[document["kind"]], document)
        secret = core(
            "Secret",
            ISSUER,
            NAMESPACE,
            type="kubernetes.io/tls",
            stringData={"tls.crt": ROOT, "tls.key": key_pem("evidence")},
        )
        put(administrator, f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
        issuer = cert_manager("Issuer", ISSUER, {"ca": {"secretName": ISSUER}})
        put(administrator, f"{CERT_MANAGER}/namespaces/{NAMESPACE}/issuers", issuer)
        bundle = core("ConfigMap", "mesh-trust", NAMESPACE, data={"ca.crt": ROOT})
        put(administrator, CONFIG_MAPS, bundle)
        stage = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint=FINGERPRINT)})
        data = {"stage.json": stage.to_json(), "g1.pem": ROOT}
        record = core("ConfigMap", "mesh-trust-stage", "cert-manager", data=data)
        put(administrator, STAGE_RECORDS, record)
        for name in ("web", "rogue"):
            put(administrator, CERTIFICATES, service(name))
        for name in ("web", "rogue"):
            wait_until_ready(administrator, name)
        yield administrator
        administrator.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        administrator.request("DELETE", f"{STAGE_RECORDS}/mesh-trust-stage")


@pytest.fixture(scope="module")
def reader(
    api: Api, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> ClusterAddress:
    """The cluster as the shipped ServiceAccount sees it."""
    kubeconfig = control_plane.kubeconfig_for(
        f"system:serviceaccount:cert-manager:{SERVICE_ACCOUNT}",
        ("system:serviceaccounts", "system:serviceaccounts:cert-manager", "system:authenticated"),
        tmp_path_factory.mktemp("reader") / "kubeconfig",
    )
    return ClusterAddress(name="dev", kubeconfig=str(kubeconfig))


def read(reader: ClusterAddress) -> ClusterEvidence:
    values = changed(
        {
            "clusters.dev.kubeconfig": reader.kubeconfig,
            "trust.namespaces": [NAMESPACE],
            "services.web.namespace": NAMESPACE,
            "issuing.kind": "Issuer",
            "issuing.name": ISSUER,
            "issuing.stable": True,
        }
    )
    evidence = collect_evidence(
        settings_model(extensions()).model_validate(values, context={"owner": "mtls-pki/test"})
    )
    assert evidence.unreachable == ()
    return evidence.reachable[0]


def leaves(reader: ClusterAddress) -> dict[str, LeafObservation]:
    return {leaf.name: leaf for leaf in read(reader).leaves if leaf.namespace == NAMESPACE}


def test_everything_is_read_with_the_shipped_rights(reader: ClusterAddress) -> None:
    evidence = read(reader)
    (bundle,) = evidence.bundles
    assert bundle.anchors == {FINGERPRINT}
    assert bundle.changed_at is not None
    assert bundle.changed_at >= NOW
    assert evidence.gate is not None
    assert evidence.gate.problem is None
    assert evidence.gate.changed_at is not None
    assert [(each.name, each.ready) for each in evidence.issuers] == [(ISSUER, True)]
    found = leaves(reader)
    assert {name: leaf.declared for name, leaf in found.items()} == {"web": True, "rogue": False}
    for leaf in found.values():
        assert leaf.kind == "Certificate"
        assert leaf.signers == {FINGERPRINT}
        assert leaf.problem is None
        assert leaf.issued_at is not None
        assert leaf.issued_at >= NOW


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/namespaces/{NAMESPACE}/secrets/{ISSUER}",
        f"/api/v1/namespaces/{NAMESPACE}/secrets/web-tls",
        "/api/v1/namespaces/cert-manager/secrets",
        "/api/v1/secrets",
        # No ConfigMap but the two that it is about.
        "/api/v1/configmaps",
        f"{CONFIG_MAPS}/kube-root-ca.crt",
        "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt",
    ],
)
def test_what_is_not_needed_is_forbidden(reader: ClusterAddress, path: str) -> None:
    place, _, selector = path.partition("?fieldSelector=")
    query = {"fieldSelector": selector.replace("%3D", "=")} if selector else {}
    with pytest.raises(ClusterError, match="is forbidden"):
        Cluster(reader).get(place, query)


def test_a_changed_bundle_is_younger_and_a_label_is_no_change(
    api: Api, reader: ClusterAddress
) -> None:
    (before,) = read(reader).bundles
    time.sleep(1.1)  # metav1.Time has whole seconds
    api.request(
        "PATCH",
        f"{CONFIG_MAPS}/mesh-trust?fieldManager=someone-else",
        {"metadata": {"labels": {"team": "a"}}},
        content_type="application/merge-patch+json",
    )
    assert read(reader).bundles[0].changed_at == before.changed_at
    put(
        api,
        CONFIG_MAPS,
        core("ConfigMap", "mesh-trust", NAMESPACE, data={"ca.crt": f"# again\n{ROOT}"}),
    )
    (after,) = read(reader).bundles
    assert before.changed_at is not None
    assert after.changed_at is not None
    assert after.changed_at > before.changed_at


def test_a_reissued_leaf_is_the_one_that_counts(api: Api, reader: ClusterAddress) -> None:
    before = leaves(reader)["web"]
    path = f"{CERTIFICATES}/web"
    revision = api.request("GET", path)["status"]["revision"]
    time.sleep(1.1)
    renewed = service("web")
    renewed["spec"]["dnsNames"].append("again.example.org")
    put(api, CERTIFICATES, renewed)
    wait(
        lambda: api.request("GET", path)["status"]["revision"] > revision and is_ready(api, path),
        "second revision",
    )
    after = leaves(reader)["web"]
    assert after.problem is None
    assert before.issued_at is not None
    assert after.issued_at is not None
    assert after.issued_at > before.issued_at


def test_a_leaf_whose_request_was_deleted_is_told(api: Api, reader: ClusterAddress) -> None:
    put(api, CERTIFICATES, service("lost"))
    wait_until_ready(api, "lost")
    requests = f"{CERT_MANAGER}/namespaces/{NAMESPACE}/certificaterequests"
    for each in api.request("GET", requests)["items"]:
        if each["metadata"]["annotations"]["cert-manager.io/certificate-name"] == "lost":
            api.request("DELETE", f"{requests}/{each['metadata']['name']}")
    leaf = leaves(reader)["lost"]
    api.request("DELETE", f"{CERTIFICATES}/lost")
    assert leaf.problem is not None
    assert "is gone" in leaf.problem
    assert leaf.not_after is not None
