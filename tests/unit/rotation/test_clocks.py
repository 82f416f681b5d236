"""Each cluster by its own clock, a person by this machine's, a certificate by all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.clocks import (
    TOLERATED_SKEW,
    cluster_time,
    local_time,
    remaining,
    skew_notices,
    surely_ended,
    surely_valid,
    when,
    when_all,
    window,
)
from mtls_pki.rotation.evidence import ClockSkew, Evidence
from tests.unit.rotation.cases import HOLD_DOWN, NOW, cluster

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OFFSETS = st.integers(-7200, 7200).map(lambda seconds: timedelta(seconds=seconds))
AGES = st.integers(0, 300).map(lambda seconds: timedelta(seconds=seconds))


def read(*, local: timedelta = timedelta(0), **offsets: timedelta) -> Evidence:
    """Evidence of clusters whose clocks show other times than NOW, as may this machine's."""
    return Evidence(
        observed_at=min(NOW + offset for offset in offsets.values()),
        read_at=NOW + local,
        clusters=tuple(
            replace(cluster(name), observed_at=NOW + offset) for name, offset in offsets.items()
        ),
    )


def test_a_hold_down_is_counted_by_the_clock_that_recorded_its_beginning() -> None:
    evidence = read(dev=timedelta(0), slow=-MINUTE)
    recorded = NOW - MINUTE - HOLD_DOWN  # by the slow clock: just over
    assert remaining("slow", recorded + HOLD_DOWN, evidence) == timedelta(0)
    assert remaining("slow", recorded + SECOND + HOLD_DOWN, evidence) == SECOND
    assert when("slow", recorded + SECOND + HOLD_DOWN, evidence) == NOW + SECOND


def test_what_has_no_clock_of_its_own_has_the_earliest() -> None:
    evidence = read(dev=timedelta(0), slow=-MINUTE)
    assert cluster_time("(endpoints)", evidence) == NOW - MINUTE


def test_without_a_clock_here_that_of_the_servers_counts() -> None:
    evidence = replace(read(slow=-MINUTE), read_at=None)
    assert local_time(evidence) == NOW - MINUTE


@given(OFFSETS, OFFSETS, AGES)
def test_no_skew_changes_how_long_is_left(
    offset: timedelta, local: timedelta, age: timedelta
) -> None:
    """The clocks of this machine and of the others play no part."""
    evidence = read(local=local, dev=offset, other=-offset)
    changed_at = NOW + offset - age
    left = max(HOLD_DOWN - age, timedelta(0))
    assert remaining("dev", changed_at + HOLD_DOWN, evidence) == left
    assert when("dev", changed_at + HOLD_DOWN, evidence) == NOW + local + left


@given(OFFSETS, OFFSETS, OFFSETS, st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_no_time_that_is_told_is_past(
    one: timedelta, other: timedelta, local: timedelta, moment: datetime
) -> None:
    evidence = read(local=local, one=one, other=other)
    moment = moment.replace(tzinfo=NOW.tzinfo)
    for told in (when("one", moment, evidence), when_all(moment, evidence)):
        assert told >= local_time(evidence)


@given(OFFSETS, OFFSETS, OFFSETS, OFFSETS)
def test_a_certificate_is_judged_as_by_the_clock_that_is_worst_for_it(
    one: timedelta, other: timedelta, local: timedelta, moment: timedelta
) -> None:
    evidence = read(local=local, one=one, other=other)
    clocks = [NOW + one, NOW + other, NOW + local]
    edge = NOW + moment
    assert window(evidence) == (min(clocks), max(clocks))
    assert surely_valid(edge, NOW + timedelta(days=1), evidence) == all(
        edge <= clock for clock in clocks
    )
    assert surely_valid(NOW - timedelta(days=1), edge, evidence) == all(
        clock < edge for clock in clocks
    )
    assert surely_ended(edge, evidence) == all(edge <= clock for clock in clocks)
    # Waiting until then is enough: each clock has reached the edge.
    waited = when_all(edge, evidence) - local_time(evidence)
    assert all(clock + waited >= edge for clock in clocks)


@given(
    OFFSETS,
    st.integers(0, 60_000),
    st.integers(0, 60_000),
    st.integers(0, 999),
)
def test_the_true_skew_is_within_what_is_measured(
    offset: timedelta, there: int, back: int, fraction: int
) -> None:
    """Whatever the way of the request and of its answer, and the fraction that Date leaves out."""
    sent = NOW + timedelta(milliseconds=fraction)
    answered = sent + timedelta(milliseconds=there)
    skew = ClockSkew.measured(
        at=(answered + offset).replace(microsecond=0),
        sent=sent,
        received=answered + timedelta(milliseconds=back),
    )
    assert abs(skew.offset - offset) <= skew.uncertainty


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("uncertainty", [SECOND / 2, 3 * SECOND])
def test_a_skew_is_named_where_it_is_certainly_greater_than_tolerated(
    sign: int, uncertainty: timedelta
) -> None:
    limit = TOLERATED_SKEW + uncertainty
    assert _said(sign * limit, uncertainty) == []
    assert len(_said(sign * (limit + SECOND), uncertainty)) == 1


@pytest.mark.parametrize(("sign", "side"), [(1, "ahead of"), (-1, "behind")])
def test_a_skew_is_named_with_its_cluster_and_its_size(sign: int, side: str) -> None:
    (message,) = _said(sign * 90 * SECOND, 1.2 * SECOND)
    assert message.startswith(
        f"the clock of cluster prod is 1m30s {side} this machine's, measured to within 2s. "
    )


def _said(offset: timedelta, uncertainty: timedelta) -> list[str]:
    skew = ClockSkew(offset=offset, uncertainty=uncertainty)
    prod = replace(cluster("prod"), observed_at=NOW, skew=skew)
    evidence = Evidence(observed_at=NOW, clusters=(prod, cluster("dev")))
    return [notice.message for notice in skew_notices(evidence)]
