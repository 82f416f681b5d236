"""What cannot be traced is bounded by the longest lifetime since the anchor stopped issuing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mtls_pki.rotation.evidence import (
    Evidence,
    IssuerObservation,
    LeafObservation,
    Untraceable,
)
from mtls_pki.rotation.rules import Laggard
from mtls_pki.rotation.tracing import longest_lifetime, stopped_issuing, untraced
from tests.unit.rotation.cases import DAY, NOW, cluster, evidence, fingerprint, leaf, request, stage

G1 = fingerprint("g1")
PROMOTED = stage(g1="outgoing", g2="issuing")
RETIRE = request(PROMOTED, stage(g2="issuing"))
SECRETS = Untraceable(namespace="", kind="Secret", name="", reason="they cannot be listed")
ISTIO = Untraceable(namespace="", kind="ClusterIssuer", name="mtls-ca-g2-i1", reason="requests go")


def seen(
    *leaves: LeafObservation,
    promoted: datetime = NOW - timedelta(hours=1),
    untraceable: Iterable[Untraceable] = (),
    issuers: Iterable[IssuerObservation] = (),
) -> Evidence:
    found = cluster(leaves=leaves, gate=PROMOTED, gate_changed_at=promoted)
    return evidence(replace(found, untraceable=tuple(untraceable), issuers=tuple(issuers)))


def issuer(changed_at: datetime | None) -> IssuerObservation:
    return IssuerObservation(
        cluster="dev",
        namespace=None,
        name="mtls-ca",
        kind="ClusterIssuer",
        ready=True,
        reason="",
        message="",
        generation="g2",
        changed_at=changed_at,
    )


def stopped(found: Evidence) -> datetime:
    return max(time for _, time in stopped_issuing(found, G1) if time is not None)


def laggards(found: Evidence, longest: timedelta = DAY) -> tuple[Laggard, ...]:
    return untraced(RETIRE, found, G1, NOW, longest_lifetime=longest)


def authority(*signers: str, **more: object) -> LeafObservation:
    found = leaf("team-ca", *signers, issued=NOW - DAY, lifetime=30 * DAY)
    return replace(found, authority=True, **more)  # type: ignore[arg-type]


def test_an_anchor_whose_sources_show_all_leaves_is_not_held_by_time() -> None:
    assert laggards(seen(leaf("web", "g2"))) == ()


@pytest.mark.parametrize("source", [SECRETS, ISTIO])
def test_a_source_that_does_not_holds_it_for_the_longest_lifetime(source: Untraceable) -> None:
    (found,) = laggards(seen(untraceable=[source]))
    assert found.place == f"dev {source.kind} {source.name}".rstrip()
    assert found.clears_at == NOW - timedelta(hours=1) + DAY
    assert source.reason in found.detail
    assert "g1 issued until 2026-11-23T11:00:00Z at the latest" in found.detail
    assert "may live for 24h0m0s, until 2026-11-24T11:00:00Z" in found.detail


def test_and_no_longer() -> None:
    assert laggards(seen(untraceable=[SECRETS], promoted=NOW - DAY)) == ()
    assert len(laggards(seen(untraceable=[SECRETS], promoted=NOW - DAY), longest=2 * DAY)) == 1


def test_a_stage_whose_age_is_not_recorded_has_no_end() -> None:
    found = seen(untraceable=[SECRETS])
    (gate,) = found.gates
    (dev,) = found.reachable
    found = evidence(replace(dev, gate=replace(gate, changed_at=None)))
    (blocked,) = laggards(found)
    assert blocked.clears_at is None
    assert "when g1 stopped issuing is not recorded" in blocked.detail


def test_the_time_is_that_of_the_clock_that_recorded_it() -> None:
    """The cluster is an hour behind: it recorded the promotion in what is the past elsewhere."""
    behind = NOW - timedelta(hours=1)
    dev = cluster(gate=PROMOTED, gate_changed_at=behind - DAY + timedelta(minutes=1))
    found = evidence(replace(dev, observed_at=behind, untraceable=(SECRETS,)))
    (blocked,) = laggards(found)
    assert blocked.clears_at == NOW + timedelta(minutes=1)


def test_it_stopped_when_the_last_cluster_was_promoted() -> None:
    late = cluster("eu", gate=PROMOTED, gate_changed_at=NOW - timedelta(minutes=5))
    dev = cluster(gate=PROMOTED)
    assert stopped(evidence(dev, late)) == NOW - timedelta(minutes=5)


def test_it_stopped_when_the_last_issuer_followed() -> None:
    """An update that was killed had changed the stage, and the stable issuer came later."""
    found = seen(issuers=[issuer(NOW - timedelta(minutes=1)), issuer(None)])
    assert stopped(found) == NOW - timedelta(minutes=1)


def test_it_stopped_after_its_youngest_leaf_at_the_earliest() -> None:
    found = seen(leaf("web", "g1", issued=NOW - timedelta(minutes=2)), leaf("other", "g2"))
    assert stopped(found) == NOW - timedelta(minutes=2)


def test_it_has_not_stopped_while_a_stage_lets_it_issue() -> None:
    issuing = cluster("eu", gate=stage(g1="issuing", g2="incoming"))
    assert stopped(evidence(issuing)) == NOW


@pytest.mark.parametrize(
    ("leaves", "longest"),
    [
        ([], DAY),
        ([leaf("web", "g2", lifetime=7 * DAY)], 7 * DAY),
        ([leaf("foreign", lifetime=90 * DAY)], DAY),
        ([authority("g2")], DAY),
        ([replace(leaf("web", "g2"), not_after=None)], DAY),
    ],
    ids=["nothing seen", "a longer leaf", "a foreign leaf", "a CA", "without an end"],
)
def test_the_longest_lifetime_is_of_a_leaf_of_the_domain(
    leaves: list[LeafObservation], longest: timedelta
) -> None:
    assert longest_lifetime(seen(*leaves), DAY) == longest


def test_a_ca_below_the_anchor_holds_it_until_its_end() -> None:
    (found,) = laggards(seen(authority("g1")))
    assert found.clears_at == NOW + 29 * DAY
    assert "it is a CA below g1; leaves that it signed are not seen" in found.detail


def test_a_ca_that_moved_holds_it_as_long_as_the_ca_before_can_live() -> None:
    moved = authority("g2", issuer_since=NOW - 2 * DAY)
    (found,) = laggards(seen(moved))
    assert found.clears_at == NOW + 29 * DAY
    assert "the one that it took over from may have been below g1" in found.detail


@pytest.mark.parametrize(
    "other",
    [
        authority("g2", predecessor=frozenset()),
        authority("g2", predecessor=frozenset({fingerprint("g2")})),
        authority("g2", issuer_since=NOW - 40 * DAY),
        authority("g1", "g2"),
        replace(authority("g1"), not_after=NOW),
    ],
    ids=["the first", "renewed", "long there", "cross-signed", "ended"],
)
def test_other_cas_do_not(other: LeafObservation) -> None:
    assert laggards(seen(other)) == ()


def test_a_ca_whose_predecessor_is_known_to_be_below_the_anchor_holds_it() -> None:
    assert len(laggards(seen(authority("g2", predecessor=frozenset({G1}))))) == 1
