"""What the program declares for the relay of Gloo Mesh."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from mtls_pki.consumers.gloo import objects
from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.parsing import parse_certificates
from tests.unit.program.conftest import _clusters_are_ready
from tests.unit.program.engine import Program, Secret, run_program
from tests.unit.program.policy_findings import findings
from tests.unit.settings.configuration import G2, changed

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


def test_the_policy_has_nothing_against_them(program: Program) -> None:
    assert not [found for found in findings(program) if "gloo" in found or "relay" in found]
