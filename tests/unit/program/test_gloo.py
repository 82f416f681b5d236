"""What the program declares for the relay of Gloo Mesh."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mtls_pki.consumers.gloo import objects
from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.parsing import parse_certificates
from tests.unit.program.conftest import _clusters_are_ready
from tests.unit.program.engine import Program, Secret, run_program
from tests.unit.program.policy_findings import findings
from tests.unit.settings.configuration import G2, REMOVED, changed

__all__ = ["_clusters_are_ready"]

CLUSTERS = ("mgmt", "east", "west")
RELAY: dict[str, Any] = {
    "clusters": {name: {"kubeconfig": f"{name}.kubeconfig"} for name in CLUSTERS},
    "consumers.gloo": {"management": "mgmt", "workloads": ["east", "west"]},
    "anchors.g2": G2,
}


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(changed(RELAY))


def secrets(program: Program, cluster: str) -> dict[str, dict[str, Any]]:
    """The data of the relay's Secrets in a cluster, by name."""
    found = {}
    for each in program.of("Secret"):
        if each.name.startswith(f"{cluster}-gloo-"):
            data = each.inputs["stringData"]
            found[each.inputs["metadata"]["name"]] = (
                data.value if isinstance(data, Secret) else data
            )
    return found


def names(pem: str) -> list[str]:
    leaf = parse_certificates(pem, origin="leaf")[0]
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.DNSName)


def test_each_cluster_has_the_secrets_of_its_side(program: Program) -> None:
    assert set(secrets(program, "mgmt")) == {
        objects.ROOT_SECRET,
        objects.SERVER_SECRET,
        objects.TELEMETRY_SECRET,
    }
    for cluster in ("east", "west"):
        assert set(secrets(program, cluster)) == {objects.ROOT_SECRET, objects.CLIENT_SECRET}


def test_an_agent_is_called_exactly_like_its_cluster(program: Program) -> None:
    assert names(secrets(program, "east")[objects.CLIENT_SECRET]["tls.crt"]) == ["east"]
    server = secrets(program, "mgmt")[objects.SERVER_SECRET]["tls.crt"]
    assert {"*.gloo-mesh", "gloo-mesh-mgmt-server.gloo-mesh"} <= set(names(server))


def test_every_side_trusts_all_anchors(program: Program) -> None:
    for cluster in CLUSTERS:
        for data in secrets(program, cluster).values():
            assert len(bundle_members(data["ca.crt"], origin="ca.crt")) == 2


def test_keys_are_secrets_and_the_shown_certificates_hold_none(program: Program) -> None:
    for each in program.of("Secret"):
        if each.inputs["metadata"]["name"] == objects.CLIENT_SECRET:
            assert isinstance(each.inputs["stringData"], Secret)
    for each in program.of("ConfigMap"):
        if each.inputs["metadata"]["name"] == objects.CERTIFICATES:
            assert "PRIVATE KEY" not in str(each.inputs["data"])


def test_the_signing_secret_is_there_only_where_the_server_signs(program: Program) -> None:
    assert objects.SIGNING_SECRET not in secrets(program, "mgmt")
    signing = {**RELAY["consumers.gloo"], "signing": True}
    signs = secrets(run_program(changed({**RELAY, "consumers.gloo": signing})), "mgmt")
    pair = signs[objects.SIGNING_SECRET]
    (authority,) = parse_certificates(pair["tls.crt"], origin="CA")
    assert authority.subject.rfc4514_string() == "CN=relay-g1-i1.example.org"
    assert set(pair) == {"tls.crt", "tls.key", "ca.crt"}


@pytest.mark.parametrize(
    ("release", "path"),
    [
        ("v1", ("relayTlsSecret", "name")),
        ("v2.0", ("glooMeshMgmtServer", "relay", "tlsSecret", "name")),
        ("v2.3", ("glooMgmtServer", "relay", "tlsSecret", "name")),
    ],
)
def test_the_values_switch_generated_certificates_off(release: str, path: tuple[str, ...]) -> None:
    settings = {**RELAY["consumers.gloo"], "release": release}
    exported = run_program(changed({**RELAY, "consumers.gloo": settings})).exports["glooValues"]
    value: Any = exported["management"]
    for part in path:
        value = value[part]
    assert value == objects.SERVER_SECRET
    assert objects.CLIENT_SECRET in str(exported["agents"]["east"])
    assert "insecure" not in str(exported).lower()


MESH: dict[str, Any] = {
    **RELAY,
    "consumers.gloo": {**RELAY["consumers.gloo"], "meshRoot": {}},
    "anchors.g1.pathLength": 2,
    "anchors.g2": {**G2, "pathLength": 2},
}


@pytest.fixture(scope="module")
def mesh() -> Program:
    return run_program(changed(MESH))


def test_the_mesh_is_signed_below_the_anchor_and_trusts_all_anchors(mesh: Program) -> None:
    """Gloo signs by the first certificate, and istiod trusts all of them."""
    data = secrets(mesh, "mgmt")["mesh-root"]
    names = [
        each.subject.rfc4514_string()
        for each in parse_certificates(data["root-cert.pem"], origin="roots")
    ]
    assert names[0] == "CN=mesh-g1-m1.example.org"
    assert sorted(names[1:]) == ["CN=root-g2.example.org", "CN=root.example.org"]
    authority, root = parse_certificates(data["cert-chain.pem"], origin="chain")
    authority.verify_directly_issued_by(root)
    assert data["ca-cert.pem"] in data["root-cert.pem"]
    assert data["key.pem"] == data["ca-key.pem"]
    key = serialization.load_pem_private_key(data["key.pem"].encode(), password=None)
    assert key.public_key() == authority.public_key()


def test_while_anchors_change_what_istiod_trusts_only_grows_or_only_shrinks() -> None:
    """istiod takes no other change (istio, pilot/pkg/bootstrap/istio_ca.go)."""
    alone = {name: value for name, value in MESH.items() if name != "anchors.g2"}
    second = {**G2, "pathLength": 2}
    steps: list[dict[str, Any]] = [
        {},
        {"anchors.g2": second},
        {"anchors.g1.role": "outgoing", "anchors.g2": {**second, "role": "issuing"}},
        {"anchors.g1": REMOVED, "anchors.g2": {**second, "role": "issuing"}},
    ]
    texts = [
        secrets(run_program(changed({**alone, **step})), "mgmt")["mesh-root"]["root-cert.pem"]
        for step in steps
    ]
    sets = [
        {each.subject.rfc4514_string() for each in parse_certificates(text, origin="roots")}
        for text in texts
    ]
    for before, after in itertools.pairwise(sets):
        assert before < after or after < before
    first = parse_certificates(texts[2], origin="roots")[0]
    assert first.subject.rfc4514_string() == "CN=mesh-g2-m1.example.org"


def test_the_key_of_the_mesh_is_in_the_management_cluster_alone(mesh: Program) -> None:
    for cluster in ("east", "west"):
        assert "mesh-root" not in secrets(mesh, cluster)
    shown = [
        each.inputs["data"]
        for each in mesh.of("ConfigMap")
        if each.inputs["metadata"]["name"] == objects.CERTIFICATES
    ]
    assert len(shown) == len(CLUSTERS)
    for data in shown:
        assert len(parse_certificates(data[objects.MESH_CAS_KEY], origin="CAs")) == 1
        assert "PRIVATE KEY" not in str(data)


@pytest.mark.parametrize(
    ("release", "kind", "path"),
    [
        ("v1", "VirtualMesh", ("mtlsConfig", "shared", "rootCertificateAuthority", "secret")),
        ("v2.0", "RootTrustPolicy", ("config", "mgmtServerCa", "secretRef")),
        ("v2.3", "RootTrustPolicy", ("config", "mgmtServerCa", "secretRef")),
    ],
)
def test_the_object_that_names_the_secret_is_an_output(
    release: str, kind: str, path: tuple[str, ...]
) -> None:
    gloo = {**MESH["consumers.gloo"], "release": release}
    exported = run_program(changed({**MESH, "consumers.gloo": gloo})).exports["glooValues"]["mesh"]
    assert exported["kind"] == kind
    value: Any = exported["spec"]
    for part in path:
        value = value[part]
    assert value == {"name": "mesh-root", "namespace": "gloo-mesh"}


def test_the_policy_has_nothing_against_them(program: Program) -> None:
    assert not [found for found in findings(program) if "gloo" in found or "relay" in found]


def test_the_policy_has_nothing_against_the_mesh(mesh: Program) -> None:
    assert not [found for found in findings(mesh) if "gloo" in found or "mesh-root" in found]
