"""What the real ``__main__.py`` declares for ``Pulumi.dev.yaml``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.keys import load_private_key
from mtls_pki.pki.parsing import parse_certificates
from tests.unit.pki.assertions import (
    assert_common_name_only,
    assert_is_issuing_ca,
    assert_is_root,
)
from tests.unit.pki.material import parsed
from tests.unit.program.engine import Declared, Program, plain, run_program, texts
from tests.unit.program.stacks import dev_stack

AWAITED = {
    "pulumi.com/patchFieldManager": "mtls-pki",
    "pulumi.com/patchForce": "true",
    "pulumi.com/waitFor": "condition=Ready",
}
APPLIED = {
    "pulumi.com/patchFieldManager": "mtls-pki",
    "pulumi.com/patchForce": "true",
    "pulumi.com/skipAwait": "true",
    "pulumi.com/deletionPropagationPolicy": "background",
}
STABLE = "dev-m8-root-ca-issuer-monoskope"
CERTIFICATES = [
    "cluster-bootstrap-reactor",
    "cockroachdb",
    "commandhandler",
    "eventstore",
    "gateway",
    "queryhandler",
    "rabbitmq",
]


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(dev_stack())


def test_kinds_and_counts(program: Program) -> None:
    """One resource for each thing, and no wrapper around a service's Certificate."""
    found = {kind: len(program.of(kind)) for kind in ("TrustAnchor", "PrivateKey", "Provider")}
    assert found["TrustAnchor"] == 1
    assert found["PrivateKey"] == 2
    assert [c.metadata["name"] for c in program.of("Certificate")] == CERTIFICATES
    assert [i.metadata["name"] for i in program.of("Issuer") if i.custom] == [
        "m8-root-ca-issuer-g1-i1",
        "m8-root-ca-issuer",
    ]
    assert [n.metadata["name"] for n in program.of("Namespace")] == ["monoskope"]
    assert program.of("ClusterIssuer") == []
    assert program.of("Bundle") == []


def test_every_kubernetes_object_is_of_the_explicit_provider(program: Program) -> None:
    provider = program.one("kubernetes", "dev")
    objects = [r for r in program.resources if r.type.startswith("kubernetes:")]
    assert objects
    for resource in objects:
        assert resource.provider == f"{provider.urn}::dev-id", resource.name


def test_the_provider_keeps_objects_through_changes_of_place_and_content(
    program: Program,
) -> None:
    assert program.one("kubernetes", "dev").inputs == {
        "kubeconfig": ".lab/dev/kubeconfig",
        "clusterIdentifier": "dev",
        "enableSecretMutable": "true",
        "enableConfigMapMutable": "true",
    }


def test_keys_state_their_curve_and_survive_the_program(program: Program) -> None:
    for name in ("g1-key", "g1-i1-key"):
        key = program.one("PrivateKey", name)
        assert key.inputs == {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
        assert key.protect == (name == "g1-key")
        assert key.retain_on_delete


def ca_secret(program: Program, name: str) -> Declared:
    return program.object("Secret", name, namespace="monoskope")


@pytest.mark.parametrize("name", ["m8-trust-anchor", "m8-trust-anchor-g1-i1"])
def test_a_ca_secret_holds_the_issuing_chain_and_a_secret_key(program: Program, name: str) -> None:
    secret = ca_secret(program, name)
    assert secret.inputs["type"] == "kubernetes.io/tls"
    data = program.tls_data(name)
    assert set(data) == {"tls.crt", "tls.key"}
    issuing_key = load_private_key(data["tls.key"], origin=name)
    issuing, root = parse_certificates(data["tls.crt"], origin=name)
    assert_is_root(root, path_length=1)
    assert_is_issuing_ca(issuing, root=root, path_length=0)
    assert issuing_key.public_key() == issuing.public_key()
    assert_common_name_only(root, "root.monoskope.cluster.local")
    assert_common_name_only(issuing, "issuing-g1-i1.monoskope.cluster.local")
    assert root.not_valid_before_utc == datetime(2026, 11, 1, tzinfo=UTC)
    assert root.not_valid_after_utc == datetime(2036, 10, 29, tzinfo=UTC)
    assert issuing.not_valid_after_utc == datetime(2027, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("issuer", "secret"),
    [
        ("m8-root-ca-issuer", "m8-trust-anchor"),
        ("m8-root-ca-issuer-g1-i1", "m8-trust-anchor-g1-i1"),
    ],
)
def test_an_issuer_follows_its_secret_and_is_awaited(
    program: Program, issuer: str, secret: str
) -> None:
    declared = program.object("Issuer", issuer)
    assert declared.metadata == {
        "name": issuer,
        "namespace": "monoskope",
        "annotations": {**AWAITED, **declared.marks},
    }
    assert declared.spec == {"ca": {"secretName": secret}}
    assert declared.timeouts == {"create": "300s", "update": "300s"}
    assert declared.hooks["on_error"] == ("explain-dev",)
    assert ca_secret(program, secret).urn in declared.dependencies


def test_the_bundle_is_the_root_alone_in_the_services_namespace(program: Program) -> None:
    bundle = program.object("ConfigMap", "mesh-trust", namespace="monoskope")
    (member,) = parse_certificates(bundle.inputs["data"]["ca.crt"], origin="bundle")
    assert_is_root(member, path_length=1)
    _, root = parse_certificates(program.tls_data("m8-trust-anchor")["tls.crt"], origin="chain")
    assert member == root


def test_a_certificate_is_exactly_this(program: Program) -> None:
    gateway = program.object("Certificate", "gateway")
    assert gateway.name == "dev/monoskope/gateway"
    assert gateway.inputs == {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "name": "gateway",
            "namespace": "monoskope",
            "annotations": {**APPLIED, **gateway.marks},
        },
        "spec": {
            "secretName": "gateway-tls",
            "issuerRef": {"name": "m8-root-ca-issuer-g1-i1", "kind": "Issuer"},
            "duration": "24h0m0s",
            "renewBefore": "8h0m0s",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth", "client auth"],
            "dnsNames": [
                "gateway.monoskope.svc.cluster.local",
                "gateway.monoskope.svc",
                "gateway.monoskope",
            ],
            "uris": ["spiffe://monoskope.cluster.local/ns/monoskope/sa/gateway"],
        },
    }
    assert gateway.timeouts == {"create": "300s", "update": "300s"}
    # One that the provider awaited, for a release before, is not written for that alone.
    assert gateway.ignore_changes[:3] == (
        'metadata.annotations["pulumi.com/waitFor"]',
        'metadata.annotations["pulumi.com/skipAwait"]',
        'metadata.annotations["pulumi.com/deletionPropagationPolicy"]',
    )
    assert gateway.hooks == {
        "before_create": ("guard/behind/dev",),
        "before_update": ("guard/behind/dev",),
        "before_delete": ("guard/delete",),
        "on_error": ("explain-dev",),
    }


def test_a_database_node_keeps_its_own_names(program: Program) -> None:
    spec = program.object("Certificate", "cockroachdb").spec
    assert spec["commonName"] == "node"
    assert spec["ipAddresses"] == ["127.0.0.1"]
    assert spec["dnsNames"] == ["node", "cockroachdb.monoskope.svc.cluster.local", "localhost"]


def test_everything_in_a_namespace_comes_after_it(program: Program) -> None:
    for resource in program.resources:
        if resource.inputs.get("metadata", {}).get("namespace") == "monoskope":
            assert "dev/monoskope" in program.waits_for(resource), resource.name


def test_certificates_come_after_their_issuer(program: Program) -> None:
    issuer = program.object("Issuer", "m8-root-ca-issuer-g1-i1")
    for certificate in program.of("Certificate"):
        assert issuer.urn in certificate.dependencies


def test_exports_are_public_and_name_the_anchor_by_its_key(program: Program) -> None:
    bundle = program.object("ConfigMap", "mesh-trust", namespace="monoskope")
    root = parsed(bundle.inputs["data"]["ca.crt"])
    assert program.exports["trustDomain"] == "monoskope.cluster.local"
    assert program.exports["anchors"] == {
        "g1": {"role": "issuing", "fingerprint": spki_sha256(root)}
    }
    assert plain(program.exports) == program.exports


def test_components_register_their_public_outputs(program: Program) -> None:
    anchor = program.outputs_of(program.one("TrustAnchor", "g1"))
    assert set(anchor) == {"certificatePem", "fingerprint"}
    assert plain(anchor) == anchor
    bundle = program.outputs_of(program.one("TrustBundle", "dev-mesh-trust"))
    assert bundle == {"pem": anchor["certificatePem"]}
    issuer = program.outputs_of(
        next(each for each in program.of("Issuer") if each.name == STABLE and not each.custom)
    )
    assert issuer == {"issuerName": "m8-root-ca-issuer", "kind": "Issuer"}


def test_every_component_registers_outputs(program: Program) -> None:
    for resource in program.resources:
        if not resource.custom:
            assert resource.urn in program.outputs, resource.name


def test_private_keys_appear_only_as_secrets(program: Program) -> None:
    for name in ("m8-trust-anchor", "m8-trust-anchor-g1-i1"):
        assert "PRIVATE KEY" in program.tls_data(name)["tls.key"]
    seen = [r.inputs for r in program.resources] + list(program.outputs.values())
    assert not [text for text in texts([*seen, program.logged]) if "PRIVATE KEY" in text]


def test_nothing_is_logged(program: Program) -> None:
    assert program.logged == []


def test_a_first_preview_knows_names_but_not_keys() -> None:
    """Keys do not exist before the first ``up``: what comes of them is unknown, not wrong."""
    program = run_program(dev_stack(), preview=True)
    assert [c.metadata["name"] for c in program.of("Certificate")] == CERTIFICATES
    assert not [t for t in texts([r.inputs for r in program.resources]) if "BEGIN" in t]
