"""Kinds of issuers, ways of distribution, several clusters, and installing the controllers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mtls_pki.program import guard
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence, IssuerUse
from tests.unit.pki.assertions import assert_is_root, assert_permits
from tests.unit.pki.material import NOW, parsed
from tests.unit.program.engine import Program, run_program
from tests.unit.program.stacks import TWO_CLUSTERS
from tests.unit.settings.configuration import REMOVED, changed

OWNED = {"pulumi.com/patchFieldManager": "mtls-pki", "pulumi.com/patchForce": "true"}
AWAITED = {**OWNED, "pulumi.com/waitFor": "condition=Ready"}


def run(changes: dict[str, Any]) -> Program:
    return run_program(changed(changes))


def test_a_cluster_issuer_reads_its_secret_in_cert_managers_namespace() -> None:
    program = run({})
    issuer = program.object("ClusterIssuer", "mtls-ca-g1-i1")
    assert issuer.metadata == {
        "name": "mtls-ca-g1-i1",
        "annotations": {**AWAITED, **issuer.marks},
    }
    assert program.object("Secret", "mtls-ca-g1-i1").metadata["namespace"] == "cert-manager"


def test_the_cluster_resource_namespace_can_be_another() -> None:
    program = run({"issuing.clusterResourceNamespace": "pki"})
    assert program.object("Secret", "mtls-ca-g1-i1").metadata["namespace"] == "pki"


def test_issuers_of_a_namespace_stand_in_each_of_them_with_their_secret() -> None:
    program = run(
        {
            "issuing.kind": "Issuer",
            "trust.namespaces": ["app", "db"],
            "services.store": {"namespace": "db"},
        }
    )
    assert program.of("ClusterIssuer") == []
    for namespace in ("app", "db"):
        issuer = program.object("Issuer", "mtls-ca-g1-i1", namespace=namespace)
        secret = program.object("Secret", "mtls-ca-g1-i1", namespace=namespace)
        assert secret.urn in issuer.dependencies
    store = program.object("Certificate", "store")
    assert program.object("Issuer", "mtls-ca-g1-i1", namespace="db").urn in store.dependencies
    assert store.spec["issuerRef"]["kind"] == "Issuer"


def test_a_config_map_goes_to_every_namespace() -> None:
    program = run({"trust.namespaces": ["app", "db"], "trust.name": "roots", "trust.key": "r.pem"})
    maps = [program.object("ConfigMap", "roots", namespace=n) for n in ("app", "db")]
    assert maps[0].inputs["data"] == maps[1].inputs["data"]
    assert set(maps[0].inputs["data"]) == {"r.pem"}
    assert program.of("Namespace") == []


def test_trust_manager_distributes_one_bundle() -> None:
    program = run({"trust.via": "trust-manager", "trust.namespaces": ["app", "db"]})
    bundle = program.object("Bundle", "mesh-trust")
    assert bundle.inputs["apiVersion"] == "trust.cert-manager.io/v1alpha1"
    assert bundle.metadata == {
        "name": "mesh-trust",
        "annotations": {**OWNED, "pulumi.com/waitFor": "condition=Synced", **bundle.marks},
    }
    (source,) = bundle.spec["sources"]
    assert_is_root(parsed(source["inLine"]), path_length=1)
    assert bundle.spec["target"] == {
        "configMap": {"key": "ca.crt"},
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "In",
                    "values": ["app", "db"],
                }
            ]
        },
    }
    assert bundle.hooks["on_error"] == ("explain-dev",)
    assert [c for c in program.of("ConfigMap") if c.metadata["name"] == "mesh-trust"] == []


def test_two_clusters_have_one_anchor_and_everything_else_twice() -> None:
    program = run({"clusters": TWO_CLUSTERS})
    assert len(program.of("TrustAnchor")) == 1
    assert len(program.of("PrivateKey")) == 2
    for kind in ("kubernetes", "ClusterIssuer", "Certificate", "Secret", "TrustBundle"):
        assert len(program.of(kind)) == 2, kind
    eu, us = (program.one("TrustBundle", f"{name}-mesh-trust") for name in ("eu", "us"))
    assert program.outputs_of(eu) == program.outputs_of(us)


def test_every_object_of_a_cluster_is_of_that_clusters_provider() -> None:
    program = run({"clusters": TWO_CLUSTERS})
    objects = [r for r in program.resources if r.type.startswith("kubernetes:")]
    for resource in objects:
        cluster = resource.cluster
        assert resource.provider == f"{program.one('kubernetes', cluster).urn}::{cluster}-id"
    assert {r.cluster for r in objects} == {"eu", "us"}


def test_clusters_are_reached_as_configured_and_identified_by_name() -> None:
    program = run({"clusters": TWO_CLUSTERS})
    mutable = {"enableSecretMutable": "true", "enableConfigMapMutable": "true"}
    assert program.one("kubernetes", "eu").inputs == mutable | {
        "kubeconfig": "",
        "context": "prod-eu",
        "clusterIdentifier": "eu",
    }
    assert program.one("kubernetes", "us").inputs == mutable | {
        "kubeconfig": "us.kubeconfig",
        "context": "prod-us",
        "clusterIdentifier": "us",
    }


def test_names_of_services_follow_the_cluster_and_identities_do_not() -> None:
    program = run({"clusters": TWO_CLUSTERS})
    eu, us = (
        program.one("Certificate", "eu/app/web").spec,
        program.one("Certificate", "us/app/web").spec,
    )
    assert eu["dnsNames"][0] == "web.app.svc.eu.local"
    assert us["dnsNames"][0] == "web.app.svc.cluster.local"
    assert eu["uris"] == us["uris"] == ["spiffe://example.org/ns/app/sa/web"]


def test_a_service_can_be_in_one_cluster_only() -> None:
    program = run({"clusters": TWO_CLUSTERS, "services.web.clusters": ["us"]})
    assert [c.name for c in program.of("Certificate")] == ["us/app/web"]


def test_a_failure_is_explained_by_its_own_cluster() -> None:
    program = run({"clusters": TWO_CLUSTERS})
    assert {"explain-eu", "explain-us"} <= set(program.hooks)
    for certificate in program.of("Certificate"):
        assert certificate.hooks["on_error"] == (f"explain-{certificate.cluster}",)


def test_a_service_can_say_everything_itself() -> None:
    program = run(
        {
            "services.web": {
                "namespace": "app",
                "name": "front",
                "serviceAccount": "edge",
                "secretName": "front-cert",
                "commonName": "front",
                "dnsNames": ["front.example.org"],
                "organizations": ["Example"],
                "emailAddresses": ["front@example.org"],
                "ipAddresses": ["10.0.0.5"],
                "usages": ["client auth"],
                "keyAlgorithm": "RSA-3072",
                "rotationPolicy": "Never",
                "duration": "90m",
                "renewBefore": "30m",
            },
            "issuing.readyTimeout": "90s",
        }
    )
    certificate = program.object("Certificate", "front")
    assert certificate.timeouts == {"create": "90s", "update": "90s"}
    assert certificate.spec == {
        "secretName": "front-cert",
        "issuerRef": {"name": "mtls-ca-g1-i1", "kind": "ClusterIssuer"},
        "duration": "1h30m0s",
        "renewBefore": "30m0s",
        "privateKey": {"algorithm": "RSA", "size": 3072, "rotationPolicy": "Never"},
        "usages": ["digital signature", "key encipherment", "client auth"],
        "commonName": "front",
        "dnsNames": ["front.example.org"],
        "uris": ["spiffe://example.org/ns/app/sa/edge"],
        "ipAddresses": ["10.0.0.5"],
        "subject": {"organizations": ["Example"]},
        "emailAddresses": ["front@example.org"],
    }


@pytest.mark.parametrize(
    ("algorithm", "private_key"),
    [
        ("P-256", {"algorithm": "ECDSA", "size": 256}),
        ("P-384", {"algorithm": "ECDSA", "size": 384}),
        ("RSA-2048", {"algorithm": "RSA", "size": 2048}),
        ("RSA-4096", {"algorithm": "RSA", "size": 4096}),
        ("Ed25519", {"algorithm": "Ed25519"}),
    ],
)
def test_keys_of_workloads(algorithm: str, private_key: dict[str, Any]) -> None:
    program = run({"services.web.keyAlgorithm": algorithm})
    spec = program.object("Certificate", "web").spec
    assert spec["privateKey"] == private_key | {"rotationPolicy": "Always"}
    assert ("key encipherment" in spec["usages"]) == algorithm.startswith("RSA")


@pytest.mark.parametrize(
    ("algorithm", "inputs"),
    [
        ("P-384", {"algorithm": "ECDSA", "ecdsaCurve": "P384"}),
        ("RSA-2048", {"algorithm": "RSA", "rsaBits": 2048}),
        ("Ed25519", {"algorithm": "ED25519"}),
    ],
)
def test_keys_of_anchors(algorithm: str, inputs: dict[str, Any]) -> None:
    program = run({"anchors.g1.keyAlgorithm": algorithm})
    assert program.one("PrivateKey", "g1-key").inputs == inputs
    assert program.one("PrivateKey", "g1-i1-key").inputs["ecdsaCurve"] == "P256"
    assert len(program.of("Certificate")) == 1


def test_an_issuing_ca_can_be_held_to_domains_and_lengths() -> None:
    program = run(
        {
            "anchors.g1.pathLength": 2,
            "issuing.intermediate": {
                "pathLength": 1,
                "validFor": "720h",
                "permittedDnsDomains": ["app.svc.cluster.local"],
            },
            "services.web.dnsNames": ["web.app.svc.cluster.local"],
        }
    )
    pem = program.tls_data("mtls-ca-g1-i1")["tls.crt"]
    issuing, root = x509.load_pem_x509_certificates(pem.encode())
    assert_is_root(root, path_length=2)
    assert_permits(issuing, ("app.svc.cluster.local",))
    constraints = issuing.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.path_length == 1
    assert (issuing.not_valid_after_utc - issuing.not_valid_before_utc).days == 30


# cert-manager and trust-manager.


@pytest.fixture
def chart(tmp_path: Path) -> str:
    """A chart directory on disk."""
    directory = tmp_path / "charts/cert-manager"
    directory.mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: cert-manager\nversion: 1.0.0\n")
    return str(directory)


def test_by_default_no_controller_is_installed() -> None:
    assert run({}).of("CertManager") == []
    assert run({}).of("Chart") == []


def test_a_chart_on_disk_is_installed_with_crds_and_without_a_start_up_job(chart: str) -> None:
    program = run(
        {
            "certManager": {
                "install": True,
                "certManager": {
                    "version": "v1.21.1",
                    "chart": chart,
                    "values": {"crds": {"keep": False}, "replicaCount": 2},
                },
            }
        }
    )
    (installed,) = program.of("Chart")
    assert installed.remote
    assert installed.inputs == {
        "name": "cert-manager",
        "namespace": "cert-manager",
        "chart": chart,
        "values": {
            "crds": {"enabled": True, "keep": False},
            "startupapicheck": {"enabled": False},
            "global": {"leaderElection": {"namespace": "cert-manager"}},
            "replicaCount": 2,
        },
    }
    namespace = program.object("Namespace", "cert-manager")
    assert namespace.retain_on_delete
    assert namespace.urn in installed.dependencies


def test_everything_of_cert_manager_comes_after_it() -> None:
    program = run({"certManager.install": True, "trust.createNamespaces": True})
    for kind in ("ClusterIssuer", "Certificate", "Secret"):
        for resource in program.of(kind):
            assert {"dev-pki", "dev/app"} <= program.waits_for(resource), resource.name


def test_the_registry_chart_is_pinned() -> None:
    program = run({"certManager.install": True})
    (installed,) = program.of("Chart")
    assert installed.inputs["version"] == "v1.21.1"
    assert installed.inputs["chart"].startswith("oci://")


def test_crds_outlive_the_chart() -> None:
    """With them would go every Certificate of the cluster."""
    program = run({"certManager.install": True, "trust.via": "trust-manager"})
    for installed in program.of("Chart"):
        assert installed.inputs["values"]["crds"] == {"enabled": True, "keep": True}


def test_trust_manager_comes_after_cert_manager_and_only_where_it_is_used() -> None:
    program = run({"certManager.install": True, "trust.via": "trust-manager"})
    cert_manager, trust_manager = program.of("Chart")
    assert trust_manager.inputs["name"] == "trust-manager"
    assert trust_manager.inputs["values"] == {
        "defaultPackage": {"enabled": False},
        "secretTargets": {"enabled": False},
        "crds": {"enabled": True, "keep": True},
        "app": {"trust": {"namespace": "cert-manager"}},
    }
    assert cert_manager.urn in trust_manager.dependencies
    assert "dev-pki" in program.waits_for(program.object("Bundle", "mesh-trust"))


def test_charts_are_of_the_clusters_provider() -> None:
    program = run({"clusters": TWO_CLUSTERS, "certManager.install": True})
    for cluster in ("eu", "us"):
        provider = program.one("kubernetes", cluster)
        component = program.one("CertManager", f"{cluster}-pki")
        (installed,) = [c for c in program.of("Chart") if c.name.startswith(f"{cluster}-")]
        assert installed.parent == component.urn
        assert (
            installed.providers.get("kubernetes", installed.provider)
            == f"{provider.urn}::{cluster}-id"
        )


def test_a_stack_without_services_declares_trust_alone() -> None:
    program = run({"services": REMOVED})
    assert program.of("Certificate") == []
    assert len(program.of("ClusterIssuer")) == 1


@pytest.mark.parametrize(
    ("issuer", "stays"),
    [("ClusterIssuer/mtls-ca-g1-i1", True), ("ClusterIssuer/mtls-ca-g0-i1", False)],
    ids=["the same issuer", "another issuer"],
)
def test_a_certificate_is_written_in_the_new_form_once_it_moves(
    monkeypatch: pytest.MonkeyPatch, issuer: str, stays: bool
) -> None:
    """One that the provider awaited, for a release before, is not written for that alone."""
    use = IssuerUse(cluster="dev", namespace="app", name="web", issuer=issuer, declared=True)
    seen = Evidence(observed_at=NOW, clusters=(ClusterEvidence(cluster="dev", uses=(use,)),))
    monkeypatch.setattr(guard, "collect_evidence", lambda *_, **__: seen)
    program = run({"services.web": {"namespace": "app"}})
    waiting = 'metadata.annotations["pulumi.com/waitFor"]'
    assert (waiting in program.object("Certificate", "web").ignore_changes) is stays
