"""What a cluster does not show is missing evidence, except where nothing can have been issued."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.clusters import local_clock
from mtls_pki.rotation.clocks import skew_notices
from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import ClusterUnreachable
from mtls_pki.rotation.roles import Role
from tests.unit.clusters import wire
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    CONFIG_MAPS,
    ISSUERS,
    KUBE_SYSTEM,
    NOW,
    REQUESTS,
    SIGNING_REQUESTS,
    STAGE,
)
from tests.unit.stack_project import stage

V1 = "cert-manager.io/v1"
COLLECTIONS = [CONFIG_MAPS, CLUSTER_ISSUERS, ISSUERS, CERTIFICATES, REQUESTS, SIGNING_REQUESTS]
INSTALL = {"certManager__install": True}


def unreachable(stack: Stack, **changes: Any) -> str:
    found, other = stack.read(**changes).clusters
    assert isinstance(found, ClusterUnreachable)
    assert (found.cluster, other.cluster) == ("dev", "prod")
    return found.error


@pytest.mark.parametrize("path", [*COLLECTIONS, STAGE, KUBE_SYSTEM])
@pytest.mark.parametrize(
    "body", ["<html>no such page", wire.NO_SUCH_PATH, {"code": 404, "message": "no route"}]
)
def test_a_404_that_is_no_api_servers_is_missing_evidence(
    stack: Stack, path: str, body: Any
) -> None:
    stack.dev.said[path] = (404, body)
    assert path in unreachable(stack)


@pytest.mark.parametrize("path", [*COLLECTIONS, STAGE, KUBE_SYSTEM])
def test_something_else_than_what_was_asked_for_is_missing_evidence(
    stack: Stack, path: str
) -> None:
    stack.dev.said[path] = (200, {"message": "please log in"})
    assert "does not answer like an API server" in unreachable(stack)


class TestAClusterWithoutCertManager:
    @pytest.fixture(autouse=True)
    def _gone(self, stack: Stack) -> None:
        del stack.dev.served[V1]

    def test_begins_where_the_stack_installs_it_and_there_is_no_record(self, stack: Stack) -> None:
        evidence = stack.read(**INSTALL)
        assert evidence.unreachable == ()
        assert evidence.leaves == ()

    def test_is_not_seen_where_there_is_a_record(self, stack: Stack) -> None:
        stack.dev.objects[STAGE] = stage(g1=Role.ISSUING)
        error = unreachable(stack, **INSTALL)
        assert error.startswith(
            f"{V1} is not served (certificaterequests, certificates, clusterissuers, issuers), so "
            "nobody sees which leaves were issued; "
        )
        assert "install the CRDs of cert-manager again" in error

    def test_is_not_seen_where_somebody_else_installs_it(self, stack: Stack) -> None:
        assert unreachable(stack).endswith("; install cert-manager with its CRDs")


def test_one_kind_that_is_not_served_is_missing_evidence_too(stack: Stack) -> None:
    stack.dev.served[V1].remove("certificaterequests")
    assert unreachable(stack).startswith(f"{V1} is not served (certificaterequests), so ")


def test_half_an_installation_by_the_stack_is_still_a_cluster_that_begins(stack: Stack) -> None:
    stack.dev.served[V1].remove("certificaterequests")
    assert stack.read(**INSTALL).unreachable == ()


def test_signing_requests_may_be_switched_off(stack: Stack) -> None:
    del stack.dev.served["certificates.k8s.io/v1"]
    assert stack.read().unreachable == ()


def test_a_broken_aggregated_api_is_missing_evidence(stack: Stack) -> None:
    for path in (CLUSTER_ISSUERS, f"/apis/{V1}"):
        stack.dev.said[path] = (404, "")
    assert "does not list its resources" in unreachable(stack, **INSTALL)


class TestIdentity:
    def test_each_cluster_has_the_uid_of_its_kube_system(self, stack: Stack) -> None:
        assert [each.uid for each in stack.read().reachable] == [stack.dev.uid, stack.prod.uid]

    def test_a_cluster_without_one_is_not_seen(self, stack: Stack) -> None:
        stack.dev.said[KUBE_SYSTEM] = wire.not_found(KUBE_SYSTEM)
        assert "has no namespace kube-system with a UID" in unreachable(stack)

    def test_two_names_of_one_cluster_are_refused(self, stack: Stack) -> None:
        """simple-container-com/api, pull request 230: a context that was copied."""
        copied = stack.settings().clusters["dev"].kubeconfig
        (refusal,) = cluster_refusals(stack.read(clusters__dr={"kubeconfig": copied}), {})
        assert refusal.rule.identifier == "one-name-per-cluster"
        assert refusal.seen[0].startswith("dev and dr are one cluster: ")

    def test_a_kubeconfig_that_points_elsewhere_is_refused(self, stack: Stack) -> None:
        pinned = {each.cluster: each.uid or "" for each in stack.read().reachable}
        assert cluster_refusals(stack.read(), pinned) == []
        stack.dev.uid = "another"
        (refusal,) = cluster_refusals(stack.read(), pinned)
        assert refusal.rule.identifier == "recorded-cluster"
        assert "recorded for dev is" in refusal.seen[0]


class TestClocks:
    def test_each_cluster_is_read_by_its_own(self, stack: Stack) -> None:
        stack.prod.date = "Mon, 23 Nov 2026 11:58:00 GMT"
        dev, prod = stack.read().reachable
        assert (dev.observed_at, prod.observed_at) == (NOW, NOW - timedelta(minutes=2))

    def test_skew_is_measured_and_named(self, stack: Stack) -> None:
        stack.prod.date = "Mon, 23 Nov 2026 11:58:00 GMT"
        evidence = stack.read()
        dev, prod = evidence.reachable
        assert dev.skew is not None
        assert prod.skew is not None
        # No time passes on the clock of this machine, so the fraction of a second alone is unknown.
        half = timedelta(seconds=0.5)
        assert (dev.skew.offset, dev.skew.uncertainty) == (half, half)
        assert prod.skew.offset == half - timedelta(minutes=2)
        (notice,) = skew_notices(evidence)
        assert notice.message.startswith("the clock of cluster prod is 2m0s behind this machine's")

    def test_the_answer_that_came_fastest_shows_the_skew(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticks = iter([NOW, NOW + timedelta(seconds=4), *[NOW + timedelta(seconds=2)] * 99])
        monkeypatch.setattr(local_clock, "now", lambda: next(ticks))
        cluster = stack.connect()
        cluster.get(STAGE)
        assert cluster.skew is not None
        assert cluster.skew.uncertainty == timedelta(seconds=2.5)
        cluster.get(STAGE)
        assert cluster.skew.uncertainty == timedelta(seconds=0.5)
        assert cluster.skew.offset == timedelta(seconds=-1.5)
        cluster.get(STAGE)
        assert cluster.first_answer_at == NOW

    def test_the_reader_has_a_clock_too(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        local = NOW + timedelta(hours=1, milliseconds=1)
        monkeypatch.setattr(local_clock, "now", lambda: local)
        evidence = stack.read()
        assert evidence.observed_at == NOW
        assert evidence.read_at == NOW + timedelta(hours=1, seconds=math.ceil(0.001))
        assert {notice.identifier for notice in skew_notices(evidence)} == {"clock-skew"}

    def test_a_server_without_a_clock_is_not_seen(self, stack: Stack) -> None:
        stack.dev.date = "yesterday"
        assert "does not say what time it is" in unreachable(stack)
