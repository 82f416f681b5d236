"""Whose clock counts: the times in the evidence are the clusters', and a reader has a third one.

* What a cluster recorded (when a bundle changed, when a leaf was put in place) is compared with
  that cluster's own clock: the difference is right however wrong both are (`remaining`).
* What a person or a plan is told is by this machine's clock (`when`).
* The dates of a certificate are judged by many verifiers, whose clocks nobody reads. They are as
  good as the clocks that were read, so a date counts as reached for none until it is for all
  (`window`, `surely_valid`, `surely_ended`, `when_all`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.rules import Laggard, Notice

TOLERATED_SKEW = timedelta(seconds=5)
"""A difference that is certainly greater is announced."""


def local_time(evidence: Evidence) -> datetime:
    """Return what this machine's clock showed when the evidence was read."""
    return evidence.read_at or evidence.observed_at


def cluster_time(cluster: str, evidence: Evidence) -> datetime:
    """Return what a cluster's clock showed; the earliest of all for what has none of its own."""
    for each in evidence.reachable:
        if each.cluster == cluster and each.observed_at is not None:
            return each.observed_at
    return evidence.observed_at


def remaining(cluster: str, moment: datetime, evidence: Evidence) -> timedelta:
    """Return how long it takes until the cluster's clock shows ``moment``; never below zero."""
    return max(moment - cluster_time(cluster, evidence), timedelta(0))


def when(cluster: str, moment: datetime, evidence: Evidence) -> datetime:
    """Return what this machine's clock shows when the cluster's shows ``moment``; never past."""
    return local_time(evidence) + remaining(cluster, moment, evidence)


def window(evidence: Evidence) -> tuple[datetime, datetime]:
    """Return the earliest and the latest time that any clock showed, this machine's included."""
    clocks = {evidence.observed_at, local_time(evidence)}
    clocks |= {each.observed_at for each in evidence.reachable if each.observed_at is not None}
    return min(clocks), max(clocks)


def surely_valid(not_before: datetime, not_after: datetime, evidence: Evidence) -> bool:
    """Whether a certificate is within its dates by every clock."""
    earliest, latest = window(evidence)
    return not_before <= earliest and latest < not_after


def surely_ended(not_after: datetime, evidence: Evidence) -> bool:
    """Whether a certificate has ended by every clock."""
    return not_after <= window(evidence)[0]


def when_all(moment: datetime, evidence: Evidence) -> datetime:
    """Return what this machine's clock shows when every clock shows ``moment``; never past."""
    return local_time(evidence) + max(moment - window(evidence)[0], timedelta(0))


def skew_notices(evidence: Evidence) -> Iterator[Notice]:
    """Yield a notice for each cluster whose clock is certainly not this machine's."""
    for each in evidence.reachable:
        skew = each.skew
        if skew is None or abs(skew.offset) <= TOLERATED_SKEW + skew.uncertainty:
            continue
        side = "ahead of" if skew.offset > timedelta(0) else "behind"
        offset = _seconds(abs(skew.offset))
        detail = f"its clock is {offset} {side} this machine's"
        yield Notice(
            identifier="clock-skew",
            message=f"the clock of cluster {each.cluster} is {offset} {side} this machine's, "
            f"measured to within {_seconds(skew.uncertainty)}. A hold-down "
            "is counted by the clock of its cluster, an earliest time is by this machine's, and a "
            "certificate must be within its dates by both: set the clock that is wrong (NTP)",
            laggards=(
                Laggard(cluster=each.cluster, namespace="", kind="cluster", name="", detail=detail),
            ),
        )


def _seconds(duration: timedelta) -> str:
    """Return a duration in whole seconds, rounded up."""
    return format_duration(timedelta(seconds=math.ceil(duration.total_seconds())))
