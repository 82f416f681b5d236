"""Leaves that leave no trace, on a real API server and cert-manager, with the shipped rights."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import Api, ApiError
from lab.control_plane import ControlPlane
from mtls_pki.clusters.connection import Cluster, ClusterAddress, ForbiddenError
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.pki.certificates import Validity, root_certificate
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.registry import extensions
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence, LeafObservation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.tracing import untraced
from mtls_pki.settings.model import settings_model
from mtls_pki.settings.trust_domain import change_request
from tests.integration.support import cluster
from tests.integration.test_evidence import COLLECTIONS, cert_manager, core, put
from tests.unit.pki.material import key_pem
from tests.unit.settings.configuration import changed

pytestmark = pytest.mark.lab

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMESPACE = "traces"
# The stack's own names: the issuer of generation g1.
ISSUER, STRANGER = "traces-ca-g1-i1", "stranger"
TRUST = "traces-trust"
CERT_MANAGER = "/apis/cert-manager.io/v1"
CERTIFICATES = f"{CERT_MANAGER}/namespaces/{NAMESPACE}/certificates"
REQUESTS = f"{CERT_MANAGER}/namespaces/{NAMESPACE}/certificaterequests"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
NOW = datetime.now(UTC).replace(microsecond=0)
NOBODY: frozenset[str] = frozenset()


def made_root(name: str) -> str:
    return root_certificate(
        key_pem=key_pem(f"traces-{name}"),
        common_name=f"root.{name}.example.org",
        validity=Validity(NOW - timedelta(days=1), NOW + timedelta(days=365)),
        path_length=1,
    )


ROOT = made_root("g1")
G1 = spki_sha256(parse_certificate(ROOT, origin="root"))
STAGE = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint=G1)})


class Traces:
    """A namespace with an issuer of g1 and a stranger's, read under the shipped rights."""

    def __init__(self, api: Api, reader: ClusterAddress) -> None:
        self.api = api
        self.reader = reader

    def certificate(self, name: str, issuer: str = ISSUER, **spec: Any) -> None:
        """Declare a Certificate and wait until it is issued."""
        self.declare(name, issuer, **spec)
        self.await_ready(name)

    def declare(self, name: str, issuer: str, **spec: Any) -> None:
        body = {
            "secretName": f"{name}-tls",
            "dnsNames": [f"{name}.example.org"],
            "issuerRef": {"name": issuer, "kind": "Issuer"},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        }
        manifest = cert_manager("Certificate", name, {**body, **spec})
        manifest["metadata"]["namespace"] = NAMESPACE
        put(self.api, CERTIFICATES, manifest)

    def await_ready(self, name: str) -> None:
        def ready() -> bool:
            live = self.api.request("GET", f"{CERTIFICATES}/{name}")
            observed = [
                each["observedGeneration"]
                for each in live.get("status", {}).get("conditions", ())
                if each["type"] == "Ready"
            ]
            current = cluster.is_ready(live) and observed == [live["metadata"]["generation"]]
            return current and not cluster.is_being_issued(live)

        cluster.wait_for(ready, f"Ready Certificate {name}")

    def await_revision(self, name: str, revision: int) -> None:
        def there() -> bool:
            live = self.api.request("GET", f"{CERTIFICATES}/{name}")
            return bool(live.get("status", {}).get("revision") == revision)

        cluster.wait_for(there, f"Certificate {name} of revision {revision}")

    def forget(self, name: str) -> None:
        """Remove a Certificate's requests, as the revision limit does while a renewal hangs."""
        for each in self.api.request("GET", REQUESTS)["items"]:
            of = each["metadata"].get("annotations", {}).get("cert-manager.io/certificate-name")
            if of == name:
                self.api.request("DELETE", f"{REQUESTS}/{each['metadata']['name']}")

    def hang(self, name: str, issuer: str) -> None:
        """Let the next issuance from ``issuer`` hang, ask for it, and forget the one before."""
        self.forget(name)
        path = f"{CERTIFICATES}/{name}"
        broken = {"spec": {"issuerRef": {"name": issuer, "kind": "Issuer"}}}
        cluster.patch(self.api, path, broken)

        def asked() -> bool:
            return any(
                each["spec"]["issuerRef"]["name"] == issuer
                and each["metadata"]["annotations"]["cert-manager.io/certificate-name"] == name
                for each in self.api.request("GET", REQUESTS)["items"]
            )

        cluster.wait_for(asked, f"request of {name} to {issuer}")

    def delete(self, name: str) -> None:
        self.api.request("DELETE", f"{CERTIFICATES}/{name}")

        def collected() -> bool:
            return not any(
                each["metadata"].get("annotations", {}).get("cert-manager.io/certificate-name")
                == name
                for each in self.api.request("GET", REQUESTS)["items"]
            )

        cluster.wait_for(collected, f"end of the requests of {name}")

    def evidence(self, **changes: Any) -> Evidence:
        values = changed(
            {
                "clusters.dev.kubeconfig": self.reader.kubeconfig,
                "trust.namespaces": [NAMESPACE],
                "trust.name": TRUST,
                "services.web.namespace": NAMESPACE,
                "issuing.kind": "Issuer",
                "issuing.name": "traces-ca",
                **changes,
            }
        )
        self.settings = settings_model(extensions()).model_validate(
            values, context={"owner": "mtls-pki/traces"}
        )
        return collect_evidence(self.settings)

    def dev(self) -> ClusterEvidence:
        evidence = self.evidence()
        assert evidence.unreachable == ()
        return evidence.reachable[0]

    def leaves(self) -> dict[str, LeafObservation]:
        return {leaf.name: leaf for leaf in self.dev().leaves}


def _shipped(api: Api, manifest: str) -> list[str]:
    """Apply a shipped manifest with this module's name of the bundle; return what it made."""
    text = (DEPLOY / manifest).read_text().replace("mesh-trust", TRUST)
    paths = []
    for document in yaml.safe_load_all(text.replace("mtls-pki-", "mtls-pki-traces-")):
        collection = COLLECTIONS[document["kind"]]
        put(api, collection, document)
        paths.append(f"{collection}/{document['metadata']['name']}")
    return paths


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """The administrator; an issuer of g1 and a stranger's stand in the namespace."""
    with contextlib.closing(control_plane.api()) as administrator:
        put(administrator, "/api/v1/namespaces", core("Namespace", NAMESPACE))
        paths = _shipped(administrator, "rbac-evidence.yaml")
        for name, root in ((ISSUER, ROOT), (STRANGER, made_root("stranger"))):
            signer = "traces-g1" if name == ISSUER else "traces-stranger"
            keys = {"tls.crt": root, "tls.key": key_pem(signer)}
            secret = core("Secret", name, NAMESPACE, type="kubernetes.io/tls", stringData=keys)
            put(administrator, SECRETS, secret)
            issuer = cert_manager("Issuer", name, {"ca": {"secretName": name}})
            issuer["metadata"]["namespace"] = NAMESPACE
            put(administrator, f"{CERT_MANAGER}/namespaces/{NAMESPACE}/issuers", issuer)
        bundle = core("ConfigMap", TRUST, NAMESPACE, data={"ca.crt": ROOT})
        put(administrator, f"/api/v1/namespaces/{NAMESPACE}/configmaps", bundle)
        records = "/api/v1/namespaces/cert-manager/configmaps"
        data = {"stage.json": STAGE.to_json(), "g1.pem": ROOT}
        record = core("ConfigMap", f"{TRUST}-stage", "cert-manager", data=data)
        put(administrator, records, record)
        yield administrator
        administrator.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        for path in (f"{records}/{TRUST}-stage", *paths):
            administrator.request("DELETE", path)


@pytest.fixture(scope="module")
def reader(
    api: Api, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> ClusterAddress:
    """The cluster as the shipped ServiceAccount sees it, with deploy/rbac-evidence.yaml alone."""
    kubeconfig = control_plane.kubeconfig_for(
        "system:serviceaccount:cert-manager:mtls-pki-traces-evidence",
        ("system:serviceaccounts", "system:serviceaccounts:cert-manager", "system:authenticated"),
        tmp_path_factory.mktemp("reader") / "kubeconfig",
    )
    return ClusterAddress(name="dev", kubeconfig=str(kubeconfig))


@pytest.fixture
def blind(api: Api, reader: ClusterAddress) -> Traces:
    """What is read without the optional right."""
    return Traces(api, reader)


@pytest.fixture
def traces(blind: Traces) -> Iterator[Traces]:
    """What is read with the optional right of deploy/rbac-trace.yaml."""
    paths = _shipped(blind.api, "rbac-trace.yaml")
    _until(lambda: _listable(blind.reader), "right to list Secrets")
    yield blind
    for path in paths:
        blind.api.request("DELETE", path)
    _until(lambda: not _listable(blind.reader), "end of the right to list Secrets")


def _until(found: Callable[[], bool], what: str) -> None:
    cluster.wait_for(found, what)


def _listable(reader: ClusterAddress) -> bool:
    try:
        Cluster(reader).list_metadata("/api/v1/secrets", lambda live: live)
    except ForbiddenError:
        return False
    return True


@pytest.fixture
def name(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Certificate's name of this test's own; what has it is removed afterwards."""
    own = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    yield own
    for path in (f"{CERTIFICATES}/{own}", f"{SECRETS}/{own}-tls", f"{SECRETS}/{own}-new"):
        with contextlib.suppress(ApiError):
            api.request("DELETE", path)


def test_a_secret_whose_certificate_was_deleted_is_a_leaf_of_its_issuer(
    traces: Traces, name: str
) -> None:
    traces.certificate(name)
    traces.delete(name)
    leaf = traces.leaves()[f"{name}-tls"]
    assert (leaf.kind, leaf.signers, leaf.problem) == ("Secret", {G1}, None)
    assert leaf.issuer == f"Issuer/{ISSUER}"
    assert leaf.issued_at is not None
    assert leaf.issued_at >= NOW


def test_what_is_listed_of_secrets_is_their_metadata(traces: Traces, name: str) -> None:
    traces.certificate(name)
    found = Cluster(traces.reader).list_metadata("/api/v1/secrets", lambda live: live)
    assert f"{name}-tls" in {each["metadata"]["name"] for each in found}
    assert {key for each in found for key in each} <= {"metadata", "kind", "apiVersion"}
    assert "tls.key" not in {
        key for each in found for key in each["metadata"].get("annotations", {})
    }
    # The right would give it; nothing here asks for it.
    assert b"PRIVATE KEY" not in json.dumps(found).encode()


def test_a_secret_that_its_certificate_names_no_more_is_a_leaf(traces: Traces, name: str) -> None:
    traces.certificate(name)
    traces.certificate(name, issuer=STRANGER, secretName=f"{name}-new")
    traces.await_revision(name, 2)
    found = traces.leaves()
    assert found[f"{name}-tls"].signers == {G1}
    assert f"{name}-new" not in found


def test_a_leaf_whose_renewal_hangs_at_a_stranger_is_still_of_its_own_issuer(
    traces: Traces, name: str
) -> None:
    traces.certificate(name)
    traces.hang(name, "nobody")
    leaf = traces.leaves()[name]
    assert (leaf.kind, leaf.signers, leaf.problem) == ("Certificate", {G1}, None)


def test_without_the_right_that_leaf_counts_until_its_end(blind: Traces, name: str) -> None:
    blind.certificate(name)
    blind.hang(name, "nobody")
    leaf = blind.leaves()[name]
    assert leaf.problem is not None
    assert "deploy/rbac-trace.yaml" in leaf.problem
    assert leaf.not_after is not None


@pytest.mark.parametrize("right", ["traces", "blind"])
def test_a_foreign_certificate_whose_renewal_hangs_does_not_block(
    request: pytest.FixtureRequest, right: str, name: str
) -> None:
    """The renewal is asked for as cmctl does, and its issuer cannot sign any more."""
    seen: Traces = request.getfixturevalue(right)
    seen.certificate(name, STRANGER)
    secret = seen.api.request("GET", f"{SECRETS}/{STRANGER}")
    seen.api.request("DELETE", f"{SECRETS}/{STRANGER}")
    try:
        seen.forget(name)
        condition = {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "by a test",
            "lastTransitionTime": NOW.isoformat().replace("+00:00", "Z"),
        }
        path = f"{CERTIFICATES}/{name}"
        held = seen.api.request("GET", path)["status"]["conditions"]
        cluster.patch(seen.api, f"{path}/status", {"status": {"conditions": [*held, condition]}})
        assert name not in seen.leaves()
    finally:
        again = core("Secret", STRANGER, NAMESPACE, type=secret["type"], data=secret["data"])
        seen.api.request("POST", SECRETS, json.dumps(again))


def test_without_the_right_the_list_of_secrets_is_untraceable_and_time_decides(
    blind: Traces,
) -> None:
    evidence = blind.evidence()
    (found,) = (each for each in evidence.reachable[0].untraceable if each.kind == "Secret")
    assert "deploy/rbac-trace.yaml" in found.reason
    promoted = TrustStage(
        anchors={
            "g1": Anchor(role=Role.OUTGOING, fingerprint=G1),
            "g2": Anchor(role=Role.ISSUING, fingerprint="2" * 64),
        }
    )
    after = TrustStage(anchors={"g2": promoted.anchors["g2"]})
    request = change_request(blind.settings, evidence=evidence, old=promoted, new=after)
    bounds = untraced(
        request,
        evidence,
        G1,
        evidence.observed_at,
        longest_lifetime=timedelta(hours=24),
    )
    (secrets,) = (each for each in bounds if each.kind == "Secret")
    assert secrets.clears_at is not None
    assert secrets.clears_at > evidence.observed_at
    assert "g1 issued until" in secrets.detail


def test_a_ca_below_the_anchor_is_told(blind: Traces, name: str) -> None:
    blind.certificate(name, isCA=True, commonName=name, duration="48h")
    leaf = blind.leaves()[name]
    assert leaf.authority
    assert leaf.signers == {G1}


def test_a_request_that_nothing_keeps_makes_its_issuer_untraceable(
    traces: Traces, name: str
) -> None:
    traces.certificate(name)
    (copied,) = (
        each
        for each in traces.api.request("GET", REQUESTS)["items"]
        if each["metadata"]["annotations"]["cert-manager.io/certificate-name"] == name
    )
    spec = {"request": copied["spec"]["request"], "issuerRef": copied["spec"]["issuerRef"]}
    manifest = cert_manager("CertificateRequest", f"{name}-istio", spec)
    manifest["metadata"]["namespace"] = NAMESPACE
    traces.api.request("POST", REQUESTS, json.dumps(manifest))
    try:
        found = [each for each in traces.dev().untraceable if each.name == ISSUER]
        assert len(found) == 1
        assert f"{NAMESPACE}/{name}-istio" in found[0].reason
    finally:
        traces.api.request("DELETE", f"{REQUESTS}/{name}-istio")


def test_a_certificate_that_was_made_again_may_have_had_a_leaf_before(
    traces: Traces, name: str
) -> None:
    traces.certificate(name)
    first = traces.leaves()[name]
    assert (first.revision, first.predecessor) == (1, NOBODY)
    assert first.issuer_since is not None
    traces.delete(name)
    secret = traces.api.request("GET", f"{SECRETS}/{name}-tls")
    created = datetime.fromisoformat(secret["metadata"]["creationTimestamp"])
    # The server records whole seconds.
    cluster.wait_for(lambda: datetime.now(UTC) >= created + timedelta(seconds=1), "next second")
    # Another issuer, so cert-manager does not take over what is there.
    other = cert_manager("Issuer", "traces-ca-g1-i2", {"ca": {"secretName": ISSUER}})
    other["metadata"]["namespace"] = NAMESPACE
    put(traces.api, f"{CERT_MANAGER}/namespaces/{NAMESPACE}/issuers", other)
    traces.certificate(name, issuer="traces-ca-g1-i2")
    traces.await_revision(name, 1)
    assert traces.leaves()[name].predecessor is None


def test_an_endpoint_that_cannot_be_asked_is_evidence_that_is_missing(blind: Traces) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
    evidence = blind.evidence(**{"trust.endpoints": [closed]})
    (unread,) = evidence.unreachable
    assert unread.cluster == "(endpoints)"
    assert closed in unread.error
