"""What is read of istiod: its roots as bundles, what it signs as two entries, its settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import BundleProblem, ClusterEvidence, LeafObservation
from mtls_pki.rotation.roles import Role
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CONFIG_MAPS,
    NOW,
    STAGE,
    config_map,
    fingerprint,
    issuing,
    owned,
    record,
    root,
)

GIVEN = "/api/v1/namespaces/istio-system/configmaps/cacerts-certificates"
MESH = "/api/v1/namespaces/istio-system/configmaps/istio"
DEPLOYMENTS = "/apis/apps/v1/namespaces/istio-system/deployments"
CLUSTER_BUNDLE = (
    "/apis/certificates.k8s.io/v1beta1/clustertrustbundles/istio.io:istiod-ca:root-cert"
)
RIGHT = {
    "ISTIO_MULTIROOT_MESH": "true",
    "DEFAULT_WORKLOAD_CERT_TTL": "24h0m0s",
    "MAX_WORKLOAD_CERT_TTL": "24h0m0s",
}
LEARNS = 'defaultConfig: {proxyMetadata: {PROXY_CONFIG_XDS_AGENT: "true"}}'
HOLD_DOWN, TTL = timedelta(minutes=2), timedelta(hours=24)


def given(generation: str = "g1", changed: str = "2026-11-01T00:00:00Z") -> dict[str, Any]:
    data = {
        "ca-cert.pem": issuing(generation),
        "cert-chain.pem": issuing(generation) + root(generation),
        "root-cert.pem": root(generation),
    }
    return config_map(
        "istio-system",
        data,
        name="cacerts-certificates",
        managed=(owned(changed, "f:data", "f:ca-cert.pem"),),
    )


def roots(namespace: str, *generations: str) -> dict[str, Any]:
    data = {"root-cert.pem": "".join(map(root, generations))}
    time = owned("2026-11-02T00:00:00Z", "f:data", "f:root-cert.pem")
    return config_map(namespace, data, name="istio-ca-root-cert", managed=(time,))


def deployment(env: dict[str, str]) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod"}},
        "spec": {"template": {"spec": {"containers": [{"name": "discovery", "env": variables}]}}},
    }


@pytest.fixture(autouse=True)
def _istiod(stack: Stack) -> Iterator[None]:
    """An istiod in ``dev`` that holds what it should; none in ``prod``."""
    api = stack.dev
    api.served["apps/v1"] = {"deployments"}
    api.objects |= {
        GIVEN: given(),
        MESH: config_map("istio-system", {"mesh": LEARNS}, name="istio"),
        DEPLOYMENTS: [deployment(RIGHT)],
        STAGE: record(g1=Role.ISSUING),
    }
    maps = api.objects[CONFIG_MAPS]
    assert isinstance(maps, list)
    maps += [roots("istio-system", "g1"), roots("default", "g1")]
    return


def read(stack: Stack, **section: Any) -> ClusterEvidence:
    stable = section.pop("stable", False)
    settings = stack.settings(
        consumers__istio={"clusters": ["dev"], **section}, issuing__stable=stable
    )
    found = collect_evidence(settings, sources=sources_of(settings))
    assert not found.unreachable, found.unreachable
    return found.reachable[0]


def signed(evidence: ClusterEvidence) -> list[LeafObservation]:
    return [leaf for leaf in evidence.leaves if leaf.kind == "workload certificates"]


def test_its_roots_are_bundles_of_the_domain_in_every_namespace(stack: Stack) -> None:
    bundles = [b for b in read(stack).bundles if b.place.name == "istio-ca-root-cert"]
    assert [bundle.place.namespace for bundle in bundles] == ["istio-system", "default"]
    assert all(bundle.anchors == {fingerprint("g1")} for bundle in bundles)
    assert all(bundle.changed_at and "istiod writes it" in bundle.hint for bundle in bundles)


def test_the_cluster_trust_bundle_counts_in_their_place(stack: Stack) -> None:
    stack.dev.objects[CONFIG_MAPS] = []
    stack.dev.served["certificates.k8s.io/v1beta1"] = {"clustertrustbundles"}
    stack.dev.objects[CLUSTER_BUNDLE] = {
        "metadata": {
            "name": "istio.io:istiod-ca:root-cert",
            "managedFields": [owned("2026-11-02T00:00:00Z", "f:spec", "f:trustBundle")],
        },
        "spec": {"trustBundle": root("g1") + root("g2")},
    }
    found = [b for b in read(stack).bundles if b.place.kind == "ClusterTrustBundle"]
    assert [bundle.anchors for bundle in found] == [{fingerprint("g1"), fingerprint("g2")}]
    assert found[0].changed_at is not None


def test_an_istiod_that_says_nothing_is_a_missing_bundle(stack: Stack) -> None:
    stack.dev.objects[CONFIG_MAPS] = []
    (found,) = (b for b in read(stack).bundles if b.place.name == "istio-ca-root-cert")
    assert found.place.namespace == "istio-system"
    assert found.problem is BundleProblem.MISSING


def test_before_it_has_its_authority_from_here_it_is_a_domain_of_its_own(stack: Stack) -> None:
    del stack.dev.objects[GIVEN]
    evidence = read(stack)
    assert not [b for b in evidence.bundles if b.place.name == "istio-ca-root-cert"]
    assert not signed(evidence)
    assert not evidence.remarks


def test_what_it_signs_now_is_an_entry_that_time_clears(stack: Stack) -> None:
    (leaf,) = signed(read(stack))
    assert leaf.signers == {fingerprint("g1")}
    assert leaf.not_after == NOW + TTL
    assert leaf.unlisted


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        (NOW - TTL - HOLD_DOWN, None),
        (NOW - TTL - HOLD_DOWN + timedelta(seconds=1), NOW + timedelta(seconds=1)),
        (NOW, NOW + TTL + HOLD_DOWN),
    ],
)
def test_what_it_signed_before_lives_for_hold_down_and_lifetime(
    stack: Stack, changed: Any, end: Any
) -> None:
    stack.dev.objects[GIVEN] = given("g2", changed.isoformat().replace("+00:00", "Z"))
    stack.dev.objects[STAGE] = record(g1=Role.OUTGOING, g2=Role.ISSUING)
    _, *before = signed(read(stack))
    assert [leaf.not_after for leaf in before] == ([] if end is None else [end])
    assert [leaf.signers for leaf in before] == [{fingerprint("g1")}] * len(before)


def test_a_longer_lifetime_of_istiod_itself_counts(stack: Stack) -> None:
    env = {**RIGHT, "MAX_WORKLOAD_CERT_TTL": "48h"}
    stack.dev.objects[DEPLOYMENTS] = [deployment(env)]
    evidence = read(stack)
    assert signed(evidence)[0].not_after == NOW + timedelta(hours=48)
    assert any("signs for up to 48h0m0s, longer than" in each for each in evidence.remarks)


def test_an_istiod_that_is_ready_for_a_rotation_gets_no_remark(stack: Stack) -> None:
    assert read(stack).remarks == ()


@pytest.mark.parametrize(
    ("path", "live", "words"),
    [
        (DEPLOYMENTS, [], "no Deployment with the label app=istiod is in istio-system"),
        (DEPLOYMENTS, [deployment({})], "without ISTIO_MULTIROOT_MESH=true"),
        (DEPLOYMENTS, [deployment({})], "without MAX_WORKLOAD_CERT_TTL"),
        (MESH, config_map("istio-system", {}, name="istio"), "PROXY_CONFIG_XDS_AGENT=true"),
        (MESH, config_map("istio-system", {"mesh": "a: ["}, name="istio"), "restart the workloads"),
    ],
)
def test_what_stands_in_the_way_of_a_rotation_is_said(
    stack: Stack, path: str, live: Any, words: str
) -> None:
    stack.dev.objects[path] = live
    assert any(words in remark for remark in read(stack).remarks)


REGISTERED = {"signer": "cert-manager"}
ASKS = {name: RIGHT[name] for name in RIGHT if "TTL" in name} | {
    "EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API"
}


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (ASKS, ""),
        (RIGHT, "istiod runs without EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API"),
        ({**ASKS, "ISTIO_MULTIROOT_MESH": "true"}, "with which it does not start"),
    ],
)
def test_an_istiod_for_which_cert_manager_signs_has_other_settings(
    stack: Stack, env: dict[str, str], words: str
) -> None:
    stack.dev.objects[DEPLOYMENTS] = [deployment(env)]
    evidence = read(stack, **REGISTERED, stable=True)
    assert any(words in each for each in evidence.remarks) if words else not evidence.remarks
    roots_of = [each for each in evidence.bundles if each.place.name == "istio-ca-root-cert"]
    assert all("from its mesh configuration" in each.hint for each in roots_of)
    assert len(signed(evidence)) == 1


def test_a_cluster_outside_of_the_mesh_is_not_asked(stack: Stack) -> None:
    read(stack)
    assert not [path for path in stack.prod.asked if "istio" in path]


@pytest.mark.parametrize("path", [GIVEN, MESH, DEPLOYMENTS])
def test_a_right_that_is_missing_is_named_with_its_manifest(stack: Stack, path: str) -> None:
    stack.dev.refused[path] = 403
    settings = stack.settings(consumers__istio={"clusters": ["dev"]})
    (away,) = collect_evidence(settings, sources=sources_of(settings)).unreachable
    assert f"reading {path} is forbidden; grant what deploy/rbac-istio.yaml grants" in away.error
