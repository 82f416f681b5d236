"""What is read of the relay of Gloo Mesh: roots, certificates, and pods that read neither yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.pki.certificates import Validity
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import BundleProblem, ClusterEvidence
from mtls_pki.rotation.guards.chains import broken_now
from mtls_pki.rotation.roles import Role
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    NOW,
    STAGE,
    chain,
    config_map,
    fingerprint,
    owned,
    record,
    root,
)

GIVEN = "/api/v1/namespaces/gloo-mesh/configmaps/relay-certificates"
PODS = "/api/v1/namespaces/gloo-mesh/pods"
CHANGED = "2026-11-22T00:00:00Z"
YEAR = Validity(not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=364))


def given(leaf: str = "g1", validity: Validity = YEAR) -> dict[str, Any]:
    data = {"client.crt": chain(leaf, validity), "ca.crt": root("g1") + root("g2")}
    managed = tuple(owned(CHANGED, "f:data", f"f:{key}") for key in data)
    return config_map("gloo-mesh", data, name="relay-certificates", managed=managed)


def pod(name: str, started: str | None) -> dict[str, Any]:
    status = {} if started is None else {"startTime": started}
    return {"metadata": {"name": name, "namespace": "gloo-mesh"}, "status": status}


@pytest.fixture(autouse=True)
def _relay(stack: Stack) -> None:
    stack.prod.objects |= {
        GIVEN: given(),
        PODS: [],
        STAGE: record(g1=Role.ISSUING, g2=Role.INCOMING),
    }


def read(stack: Stack) -> ClusterEvidence:
    settings = stack.settings(consumers__gloo={"management": "dev", "workloads": ["prod"]})
    found = collect_evidence(settings, sources=sources_of(settings))
    assert not found.unreachable, found.unreachable
    return found.reachable[1]


def test_its_roots_are_a_bundle_and_its_certificates_leaves(stack: Stack) -> None:
    evidence = read(stack)
    (bundle,) = (b for b in evidence.bundles if b.place.name == "relay-certificates")
    assert bundle.anchors == {fingerprint("g1"), fingerprint("g2")}
    (leaf,) = (each for each in evidence.leaves if each.kind == "relay certificate")
    assert leaf.signers == {fingerprint("g1")}
    assert evidence.remarks == ()


@pytest.mark.parametrize(
    ("name", "started", "unread"),
    [
        ("gloo-mesh-agent-7d9", "2026-11-21T23:59:59Z", True),
        ("gloo-mesh-agent-7d9", CHANGED, True),
        ("gloo-mesh-agent-7d9", None, True),
        ("gloo-mesh-agent-7d9", "2026-11-22T00:00:01Z", False),
        ("enterprise-networking-1", "2026-11-21T00:00:00Z", True),
        ("somebody-elses", "2026-11-21T00:00:00Z", False),
    ],
)
def test_a_pod_that_runs_for_longer_than_its_roots_does_not_hold_them(
    stack: Stack, name: str, started: str | None, *, unread: bool
) -> None:
    stack.prod.objects[PODS] = [pod(name, started)]
    found = [each for each in read(stack).bundles if each.place.kind == "Pod"]
    assert [each.problem for each in found] == ([BundleProblem.UNREAD] if unread else [])
    assert all("kubectl rollout restart" in each.hint for each in found)


def test_an_agent_may_present_its_old_certificate_until_it_is_restarted(stack: Stack) -> None:
    stack.prod.objects |= {
        GIVEN: given("g2"),
        STAGE: record(g1=Role.OUTGOING, g2=Role.ISSUING),
        PODS: [pod("gloo-mesh-agent-1", "2026-11-20T00:00:00Z")],
    }
    (old,) = (each for each in read(stack).leaves if each.kind == "Pod")
    assert old.signers == {fingerprint("g1")}
    assert old.live(NOW + timedelta(days=10_000))
    stack.prod.objects[PODS] = [pod("gloo-mesh-agent-1", "2026-11-22T00:00:01Z")]
    assert not [each for each in read(stack).leaves if each.kind == "Pod"]


def test_a_certificate_that_nobody_renews_is_announced(stack: Stack) -> None:
    soon = Validity(not_before=YEAR.not_before, not_after=NOW + timedelta(days=59))
    stack.prod.objects[GIVEN] = given("g1", soon)
    (remark,) = read(stack).remarks
    assert "certificates.validFrom" in remark


@pytest.mark.parametrize("path", [GIVEN, PODS])
def test_a_right_that_is_missing_is_named_with_its_manifest(stack: Stack, path: str) -> None:
    stack.prod.refused[path] = 403
    settings = stack.settings(consumers__gloo={"management": "dev", "workloads": ["prod"]})
    (away,) = collect_evidence(settings, sources=sources_of(settings)).unreachable
    assert "grant what deploy/rbac-gloo.yaml grants" in away.error


@pytest.mark.parametrize(
    ("api", "plural", "kind", "spec", "told"),
    [
        (
            "networking.mesh.gloo.solo.io/v1",
            "virtualmeshes",
            "VirtualMesh",
            {"mtlsConfig": 1},
            True,
        ),
        ("networking.mesh.gloo.solo.io/v1", "virtualmeshes", "VirtualMesh", {}, False),
        ("admin.gloo.solo.io/v2", "roottrustpolicies", "RootTrustPolicy", {}, True),
    ],
)
@pytest.mark.parametrize("ours", [True, False])
def test_what_lets_gloo_write_the_mesh_ca_of_this_stack_is_named(
    stack: Stack, api: str, plural: str, kind: str, spec: dict[str, Any], *, told: bool, ours: bool
) -> None:
    stack.dev.served[api] = {plural}
    live = {"metadata": {"name": "mesh", "namespace": "gloo-mesh"}, "spec": spec}
    stack.dev.objects[f"/apis/{api}/namespaces/gloo-mesh/{plural}"] = [live]
    consumers: dict[str, Any] = {"gloo": {"management": "dev", "workloads": ["prod"]}}
    if ours:
        consumers["istio"] = {"clusters": ["prod"]}
    settings = stack.settings(consumers=consumers)
    (dev, *_) = collect_evidence(settings, sources=sources_of(settings)).reachable
    words = f"{kind} gloo-mesh/mesh lets Gloo write the Secret cacerts in prod"
    assert any(words in each for each in dev.remarks) is (told and ours)


@pytest.mark.parametrize(("agent", "fits"), [("g1", True), ("g2", False)])
def test_server_and_agent_are_checked_to_fit_each_other(
    stack: Stack, agent: str, *, fits: bool
) -> None:
    """Wished for in solo-io/gloo-mesh#1508: the one's certificate under the other's roots."""
    only_g1 = given()
    only_g1["data"]["ca.crt"] = root("g1")
    stack.dev.objects |= {GIVEN: only_g1, PODS: []}
    presented = given(agent)
    presented["data"]["ca.crt"] = root("g1")
    stack.prod.objects[GIVEN] = presented
    settings = stack.settings(consumers__gloo={"management": "dev", "workloads": ["prod"]})
    evidence = collect_evidence(settings, sources=sources_of(settings))
    broken = [each.leaf for each in broken_now(evidence, NOW)]
    assert {(each.cluster, each.name) for each in broken} == (
        set() if fits else {("prod", "relay-certificates[client.crt]")}
    )
