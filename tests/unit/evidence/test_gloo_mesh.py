"""What the meshes trust and sign whose CAs Gloo makes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import ClusterEvidence, LeafObservation
from mtls_pki.rotation.roles import Role
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    NOW,
    STAGE,
    config_map,
    fingerprint,
    owned,
    record,
    root,
)
from tests.unit.pki import material

GIVEN = "/api/v1/namespaces/gloo-mesh/configmaps/relay-certificates"
CHANGED = "2026-11-22T00:00:00Z"
TTL = timedelta(hours=24)


def authority(generation: str) -> str:
    """The CA of the mesh below an anchor."""
    return material.issuing(
        f"mesh-{generation}", root_pem=root(generation), root_key=material.key_pem(generation)
    )


def handed_out(pem: str, changed_at: str = CHANGED) -> dict[str, Any]:
    managed = (owned(changed_at, "f:data", "f:root-cert.pem"),)
    return config_map(
        "istio-system", {"root-cert.pem": pem}, name="istio-ca-root-cert", managed=managed
    )


@pytest.fixture(autouse=True)
def _relay(stack: Stack) -> None:
    data = {"ca.crt": root("g1") + root("g2"), "mesh-cas.crt": authority("g1") + authority("g2")}
    managed = tuple(owned(CHANGED, "f:data", f"f:{key}") for key in data)
    stack.prod.objects |= {
        GIVEN: config_map("gloo-mesh", data, name="relay-certificates", managed=managed),
        "/api/v1/namespaces/gloo-mesh/pods": [],
        STAGE: record(g1=Role.OUTGOING, g2=Role.ISSUING),
    }


def read(stack: Stack, *roots: dict[str, Any], release: str = "v1") -> ClusterEvidence:
    stack.prod.objects["/api/v1/configmaps"] = [*stack.prod.objects["/api/v1/configmaps"], *roots]
    gloo = {"management": "dev", "workloads": ["prod"], "release": release, "meshRoot": {}}
    settings = stack.settings(consumers__gloo=gloo, anchors__g1__pathLength=2)
    found = collect_evidence(settings, sources=sources_of(settings))
    assert not found.unreachable, found.unreachable
    return found.reachable[1]


def workloads(evidence: ClusterEvidence) -> list[LeafObservation]:
    return [each for each in evidence.leaves if each.kind == "workload certificates"]


def test_the_cas_of_the_mesh_are_no_members_and_the_anchors_are(stack: Stack) -> None:
    both = authority("g1") + root("g1") + root("g2") + authority("g2")
    evidence = read(stack, handed_out(both))
    (bundle,) = (each for each in evidence.bundles if each.place.name == "istio-ca-root-cert")
    assert bundle.anchors == {fingerprint("g1"), fingerprint("g2")}
    assert len(bundle.members) == 2


@pytest.mark.parametrize(
    ("release", "way"), [("v1", "delete the Secret cacerts"), ("v2.3", "RootTrustPolicy")]
)
def test_who_signs_is_the_first_that_istiod_was_given(stack: Stack, release: str, way: str) -> None:
    pem = authority("g1") + root("g1") + root("g2") + authority("g2")
    (present,) = workloads(read(stack, handed_out(pem), release=release))
    assert present.signers == {fingerprint("g1")}
    assert present.not_after == NOW + TTL
    assert not present.unlisted
    assert way in present.issuer


def test_what_was_signed_before_is_waited_for(stack: Stack) -> None:
    pem = authority("g2") + root("g1") + root("g2") + authority("g1")
    recently = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    present, before = workloads(read(stack, handed_out(pem, recently)))
    assert present.signers == {fingerprint("g2")}
    assert before.signers == {fingerprint("g1")}
    assert before.unlisted
    assert before.not_after is not None
    assert NOW < before.not_after <= NOW + TTL


def test_a_first_root_that_is_no_ca_of_this_stack_hides_who_signs(stack: Stack) -> None:
    (present, *_) = workloads(read(stack, handed_out(root("g1") + root("g2"))))
    assert present.problem is not None


@pytest.mark.parametrize("pem", [material.root("elsewhere"), "garbage"])
def test_a_mesh_of_its_own_is_told_and_holds_nothing_back(stack: Stack, pem: str) -> None:
    evidence = read(stack, handed_out(pem))
    assert not [each for each in evidence.bundles if each.place.name == "istio-ca-root-cert"]
    assert not workloads(evidence)
    assert any("istiod has roots of its own" in each for each in evidence.remarks)


def test_a_cluster_without_a_mesh_says_nothing(stack: Stack) -> None:
    evidence = read(stack)
    assert not workloads(evidence)
    assert not evidence.remarks
