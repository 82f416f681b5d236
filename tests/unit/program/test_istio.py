"""What the program declares for the istiods of a stack."""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.consumers.istio import objects
from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.parsing import parse_certificate, parse_certificates
from mtls_pki.pki.profile import path_length_of
from tests.unit.program.conftest import _clusters_are_ready
from tests.unit.program.engine import Program, Secret, run_program
from tests.unit.program.policy_findings import findings
from tests.unit.settings.configuration import G2, changed

__all__ = ["_clusters_are_ready"]

TWO = {"clusters": {name: {"kubeconfig": f"{name}.kubeconfig"} for name in ("east", "west")}}
MESH: dict[str, Any] = {**TWO, "consumers.istio": {}, "anchors.g2": G2}


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(changed(MESH))


def of_cluster(program: Program, kind: str, name: str, cluster: str) -> dict[str, Any]:
    (found,) = (
        each.inputs
        for each in program.of(kind)
        if each.inputs.get("metadata", {}).get("name") == name and each.name.startswith(cluster)
    )
    return dict(found)


def test_the_secret_has_the_four_files_that_istiod_wants(program: Program) -> None:
    secret = of_cluster(program, "Secret", objects.SECRET, "east")
    data = secret["stringData"]
    assert isinstance(data, Secret)
    assert set(data.value) == {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    assert secret["metadata"]["namespace"] == "istio-system"


def test_its_certificates_are_shown_without_the_key(program: Program) -> None:
    shown = of_cluster(program, "ConfigMap", objects.CERTIFICATES, "east")["data"]
    assert set(shown) == {objects.SIGNER_KEY, objects.CHAIN_KEY, "root-cert.pem"}
    chain = parse_certificates(shown[objects.CHAIN_KEY], origin="chain")
    assert chain[0] == parse_certificate(shown[objects.SIGNER_KEY], origin="signer")
    assert chain[1].subject == chain[0].issuer


def test_each_cluster_has_a_ca_of_its_own_and_the_same_roots(program: Program) -> None:
    east, west = (
        of_cluster(program, "ConfigMap", objects.CERTIFICATES, name)["data"]
        for name in ("east", "west")
    )
    assert east["root-cert.pem"] == west["root-cert.pem"]
    assert len(bundle_members(east["root-cert.pem"], origin="roots")) == 2
    signer = parse_certificate(east[objects.SIGNER_KEY], origin="signer")
    assert signer.subject.rfc4514_string() == "CN=istio-east-g1-i1.example.org,L=east,O=Istio"
    assert path_length_of(signer) == 0
    assert west[objects.SIGNER_KEY] != east[objects.SIGNER_KEY]


def test_an_anchor_is_appended_and_moves_no_other() -> None:
    before = run_program(changed({**MESH, "anchors": changed({})["anchors"]}))
    after = run_program(changed(MESH))
    old, new = (
        of_cluster(each, "ConfigMap", objects.CERTIFICATES, "east")["data"]["root-cert.pem"]
        for each in (before, after)
    )
    assert new.startswith(old)
    assert new != old


def test_keys_are_of_generations_that_issue(program: Program) -> None:
    names = {key.name for key in program.of("PrivateKey")}
    assert {name for name in names if "istio" in name} == {
        f"{cluster}-istio-g1-i1-key" for cluster in ("east", "west")
    }


def test_they_come_after_the_gate_and_the_policy_has_nothing_against_them(
    program: Program,
) -> None:
    for each in program.of("Secret"):
        if each.inputs["metadata"]["name"] == objects.SECRET:
            assert any(name.endswith("-gate") for name in program.waits_for(each))
    assert not [found for found in findings(program) if "cacerts" in found or "istio" in found]


def test_the_values_make_istiod_ready_for_a_rotation(program: Program) -> None:
    values = program.exports["istioValues"]["east"]
    assert values["pilot"]["env"]["ISTIO_MULTIROOT_MESH"] == "true"
    assert values["pilot"]["env"]["MAX_WORKLOAD_CERT_TTL"] == "24h0m0s"
    assert values["meshConfig"]["trustDomain"] == "example.org"


@pytest.fixture(scope="module")
def registered() -> Program:
    return run_program(
        changed({**MESH, "consumers.istio": {"signer": "cert-manager"}, "issuing.stable": True})
    )


def test_where_cert_manager_signs_istiod_gets_no_key(registered: Program) -> None:
    assert not [key.name for key in registered.of("PrivateKey") if "istio" in key.name]
    assert objects.SECRET not in {
        each.inputs["metadata"]["name"] for each in registered.of("Secret")
    }


def test_where_cert_manager_signs_it_comes_after_the_gate_too(registered: Program) -> None:
    shown = [
        each
        for each in registered.of("ConfigMap")
        if each.inputs["metadata"]["name"] == objects.CERTIFICATES
    ]
    assert len(shown) == 2
    for each in shown:
        assert any(name.endswith("-gate") for name in registered.waits_for(each))
    assert not [each for each in findings(registered) if "cacerts" in each or "istio" in each]


def test_where_cert_manager_signs_the_issuing_ca_is_shown(registered: Program) -> None:
    shown = of_cluster(registered, "ConfigMap", objects.CERTIFICATES, "east")["data"]
    chain = parse_certificates(shown[objects.CHAIN_KEY], origin="chain")
    assert chain[0].subject.rfc4514_string() == "CN=issuing-g1-i1.example.org"
    assert chain[0] == parse_certificate(shown[objects.SIGNER_KEY], origin="signer")
    assert len(bundle_members(shown["root-cert.pem"], origin="roots")) == 2


def test_where_cert_manager_signs_istiod_is_told_whom_to_ask_and_what_to_trust(
    registered: Program,
) -> None:
    values = registered.exports["istioValues"]["east"]
    signer = "clusterissuers.cert-manager.io/mtls-ca"
    assert values["global"]["pilotCertProvider"] == f"k8s.io/{signer}"
    assert values["pilot"]["env"]["K8S_SIGNER"] == signer
    assert "ISTIO_MULTIROOT_MESH" not in values["pilot"]["env"]
    (given,) = values["meshConfig"]["caCertificates"]
    assert len(bundle_members(given["pem"], origin="roots")) == 2
    assert given["certSigners"] == ["clusterissuers.cert-manager.io/", signer]
