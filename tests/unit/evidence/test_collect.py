"""Reading a whole stack: side by side, in pages, never half, never a Secret."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from mtls_pki.clusters.connection import ClusterError
from mtls_pki.rotation.evidence import ClusterUnreachable, IssuerObservation
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    CONFIG_MAPS,
    ISSUERS,
    KUBE_SYSTEM,
    REQUESTS,
    SECRETS,
    SIGNING_REQUESTS,
    STAGE,
    STAGES,
    certificate,
    chain,
    issuer,
    request,
)

READ = [
    KUBE_SYSTEM,
    STAGE,
    STAGES,
    CONFIG_MAPS,
    CLUSTER_ISSUERS,
    ISSUERS,
    SECRETS,
    CERTIFICATES,
    REQUESTS,
    SIGNING_REQUESTS,
]


def test_each_collection_is_read_once_and_nothing_else(stack: Stack) -> None:
    stack.read()
    for api in (stack.dev, stack.prod):
        assert [target.partition("?")[0] for target in api.asked] == READ


def test_clusters_keep_their_order(stack: Stack) -> None:
    assert [each.cluster for each in stack.read().clusters] == ["dev", "prod"]


@pytest.mark.parametrize(
    ("path", "status"),
    # What the list of Secrets is for is optional, so it may be forbidden (test_traces).
    [each for each in itertools.product(READ, [401, 403, 500]) if each != (SECRETS, 403)],
)
def test_a_cluster_that_cannot_be_read_whole_counts_as_unreachable(
    stack: Stack, path: str, status: int
) -> None:
    stack.dev.refused[path] = status
    unreachable, read = stack.read().clusters
    assert isinstance(unreachable, ClusterUnreachable)
    assert unreachable.cluster == "dev"
    assert read.cluster == "prod"
    if status == 403:
        assert f"reading {path} is forbidden" in unreachable.error
        assert "deploy/rbac-evidence.yaml" in unreachable.error


def test_a_cluster_that_is_away_is_named_and_the_other_still_read(stack: Stack) -> None:
    evidence = stack.read(clusters__away={"kubeconfig": "no-such-file"})
    (unreachable,) = evidence.unreachable
    assert unreachable.cluster == "away"
    assert "no-such-file cannot be used" in unreachable.error
    assert [each.cluster for each in evidence.reachable] == ["dev", "prod"]


def test_the_time_of_the_evidence_is_the_earliest_clock_of_the_servers(stack: Stack) -> None:
    stack.prod.date = "Mon, 23 Nov 2026 11:59:30 GMT"
    assert stack.read().observed_at == datetime(2026, 11, 23, 11, 59, 30, tzinfo=UTC)


def fill(stack: Stack, count: int) -> None:
    names = [f"web-{number}" for number in range(count)]
    stack.dev.objects[CERTIFICATES] = [certificate(name) for name in names]
    stack.dev.objects[REQUESTS] = [
        request(chain("g1"), name=f"{name}-1", certificate=name) for name in names
    ]
    stack.dev.page_size = 3


def test_every_page_is_read(stack: Stack) -> None:
    fill(stack, 7)
    leaves = stack.read().leaves
    assert len(leaves) == 7
    assert not [leaf for leaf in leaves if leaf.problem]
    pages = [target for target in stack.dev.asked if target.startswith(f"{CERTIFICATES}?")]
    assert [("continue=" in page, "limit=250" in page) for page in pages] == [
        (False, True),
        (True, True),
        (True, True),
    ]


def test_a_list_that_expires_begins_again(stack: Stack) -> None:
    fill(stack, 7)
    stack.dev.expire |= {CERTIFICATES, REQUESTS}
    leaves = stack.read().leaves
    assert sorted(leaf.name for leaf in leaves) == [f"web-{number}" for number in range(7)]


def test_a_list_that_always_expires_is_given_up(stack: Stack) -> None:
    fill(stack, 7)
    stack.dev.always_expired.add(REQUESTS)
    (unreachable,) = stack.read().unreachable
    assert "outlived its continue token 3 times" in unreachable.error


def test_gone_is_no_answer_for_one_object_either(stack: Stack) -> None:
    stack.dev.refused[STAGE] = 410
    with pytest.raises(ClusterError, match="410 Gone"):
        stack.connect().get(STAGE)


def test_an_answer_that_is_no_json_is_no_evidence(stack: Stack) -> None:
    stack.dev.objects[STAGE] = "<html>log in</html>"
    (unreachable,) = stack.read().unreachable
    assert "does not answer like an API server" in unreachable.error


class TestIssuers:
    def test_those_of_the_stack_are_observed(self, stack: Stack) -> None:
        stack.dev.objects[CLUSTER_ISSUERS] = [
            issuer("mtls-ca-g1-i1"),
            issuer("mtls-ca", ready="False"),
            issuer("letsencrypt", acme={}),
        ]
        stack.dev.objects[ISSUERS] = [issuer("mtls-ca-g1-i1", "app")]
        assert stack.read(issuing__stable=True).issuers == (
            observed("mtls-ca-g1-i1", ready=True),
            observed("mtls-ca", ready=False),
        )

    def test_namespaced_ones_are_told_apart_by_namespace(self, stack: Stack) -> None:
        stack.dev.objects[ISSUERS] = [
            issuer("mtls-ca-g1-i1", "app"),
            issuer("mtls-ca-g1-i1", "team"),
        ]
        (found,) = stack.read(issuing__kind="Issuer").issuers
        assert (found.namespace, found.kind) == ("app", "Issuer")

    def test_one_that_cert_manager_has_not_seen_is_not_ready(self, stack: Stack) -> None:
        stack.dev.objects[CLUSTER_ISSUERS] = [issuer("mtls-ca-g1-i1", ready=None)]
        (found,) = stack.read().issuers
        assert (found.ready, found.reason) == (False, "NotObserved")


def observed(name: str, *, ready: bool) -> IssuerObservation:
    return IssuerObservation(
        cluster="dev",
        namespace=None,
        name=name,
        kind="ClusterIssuer",
        ready=ready,
        reason="KeyPairVerified",
        message="text",
        generation="g1",
    )
