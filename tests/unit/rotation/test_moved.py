"""Whether a workload may still serve the leaf before, from what is recorded of the one now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.evidence import LeafObservation
from mtls_pki.rotation.moved import may_serve_predecessor
from tests.unit.rotation.cases import DAY, HOLD_DOWN, NOW, fingerprint, leaf

G1 = fingerprint("g1")
JUST_NOW = NOW - timedelta(seconds=1)


def blocks(found: LeafObservation, *, longest: timedelta = DAY, now: datetime = NOW) -> bool:
    return may_serve_predecessor(found, G1, now=now, hold_down=HOLD_DOWN, longest_lifetime=longest)


def fresh(*signers: str, **more: object) -> LeafObservation:
    """Return a leaf that was put in place a second ago."""
    return replace(leaf("web", *(signers or ("g2",)), issued=JUST_NOW), **more)  # type: ignore[arg-type]


def test_a_leaf_that_has_been_in_place_for_the_hold_down_does_not_block() -> None:
    assert not blocks(leaf("web", "g2", issued=NOW - HOLD_DOWN))


def test_a_leaf_whose_issuer_changed_within_a_lifetime_blocks() -> None:
    assert blocks(fresh(issuer_since=JUST_NOW))
    assert blocks(fresh(issuer_since=JUST_NOW - DAY + timedelta(seconds=1)))


def test_a_leaf_whose_issuer_has_been_the_same_for_a_lifetime_does_not() -> None:
    assert not blocks(fresh(issuer_since=JUST_NOW - DAY))


def test_the_lifetime_is_that_of_the_longest_leaf_and_not_its_own() -> None:
    """The predecessor lived for 90 days, the present leaf for one."""
    found = fresh(issuer_since=JUST_NOW - 2 * DAY)
    assert not blocks(found, longest=DAY)
    assert blocks(found, longest=90 * DAY)


def test_when_the_stage_was_applied_does_not_matter_where_the_issuer_went_on() -> None:
    """Promoted long ago; this one hung on the old issuer until a second ago."""
    assert blocks(fresh(issuer_since=JUST_NOW, not_before=JUST_NOW))


def test_a_leaf_without_any_before_does_not_block() -> None:
    assert not blocks(fresh(predecessor=frozenset(), revision=1))


@pytest.mark.parametrize(("before", "expected"), [("g1", True), ("g2", False)])
def test_the_leaf_before_decides_where_it_is_known(before: str, expected: bool) -> None:
    found = fresh(predecessor=frozenset({fingerprint(before)}), issuer_since=NOW - 90 * DAY)
    assert blocks(found) is expected


def test_a_leaf_that_moved_to_a_foreign_issuer_blocks_too() -> None:
    assert blocks(replace(fresh(issuer_since=JUST_NOW), signers=frozenset()))


def test_a_leaf_of_which_no_time_is_recorded_blocks() -> None:
    assert blocks(fresh(issuer_since=None))
    assert blocks(fresh(issuer_since=NOW - DAY, not_before=None))


def test_a_leaf_that_chains_to_the_anchor_or_is_not_known_is_judged_elsewhere() -> None:
    assert not blocks(fresh("g1"))
    assert not blocks(fresh(problem="unreadable"))


@given(
    lifetimes=st.lists(st.integers(1, 100), min_size=1, max_size=6),
    moved=st.integers(0, 300),
    late=st.integers(0, 200),
)
def test_a_predecessor_of_the_anchor_that_is_alive_is_never_missed(
    lifetimes: list[int], moved: int, late: int
) -> None:
    """A Certificate with changing lifetimes and late renewals, at each of its renewals."""
    hours = timedelta(hours=1)
    issued = NOW - timedelta(hours=sum(lifetimes) + late)
    changed = issued + moved * hours
    before: tuple[str, datetime] | None = None
    for lifetime in lifetimes:
        signer = "g2" if issued >= changed else "g1"
        current = replace(
            leaf("web", signer, issued=issued, lifetime=lifetime * hours),
            issuer_since=changed if issued >= changed else NOW - 9000 * hours,
        )
        missed = (
            before is not None
            and before[0] == "g1"
            and signer == "g2"
            and before[1] > issued
            and not blocks(current, longest=max(lifetimes) * hours, now=issued)
        )
        assert not missed
        before = (signer, issued + lifetime * hours)
        issued += lifetime * hours * 2 / 3


def test_a_fleet_that_renews_all_the_time_blocks_for_one_lifetime_only() -> None:
    """Something is issued in every second; from one lifetime after the promotion none blocks."""
    promoted = NOW
    for passed in range(4 * 24):
        now = promoted + timedelta(hours=passed)
        renewed = replace(leaf("web", "g2", issued=now), issuer_since=promoted)
        assert blocks(renewed, now=now) is (passed < 24)
