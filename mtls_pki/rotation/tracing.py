"""What cannot be traced is bounded by time.

An anchor that has issued leaves the bundles only when every source of leaves shows all of them and
none is left, or when the longest lifetime of a leaf has passed since the anchor stopped issuing.
The times are those that servers recorded, each by its own clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mtls_pki.rotation.clocks import cluster_time, remaining, when, when_all
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import Evidence, LeafObservation
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Laggard
from mtls_pki.rotation.text import instant

_Recorded = tuple[str, datetime | None]


def longest_lifetime(evidence: Evidence, allowed: timedelta) -> timedelta:
    """Return the longest lifetime that a leaf of the domain has, or is allowed to have.

    Args:
        evidence: its live leaves count, whoever declared them; CAs do not, they have bounds of
            their own (`untraced`).
        allowed: what the configuration allows, or has allowed as far as that is recorded.
    """
    seen = (
        leaf.not_after - leaf.not_before
        for leaf in evidence.leaves
        if leaf.signers and not leaf.authority
        if leaf.not_before is not None and leaf.not_after is not None
    )
    return max((allowed, *seen))


def stopped_issuing(
    evidence: Evidence, fingerprint: str
) -> tuple[tuple[str, datetime | None], ...]:
    """Return after what nothing can have been issued by the anchor: (cluster, its recorded time).

    The latest of them counts. They are when each cluster's stage changed; when the issuers of the
    stack did, for an update that was killed has changed the stage and not yet all of them; and when
    each leaf of the anchor was issued. While a cluster's stage lets the anchor issue, it is now.
    """
    times: list[_Recorded] = []
    for gate in evidence.gates:
        generation = gate.stage.generation_of(fingerprint) if gate.stage else None
        issues = gate.stage is not None and generation in gate.stage.issuing_generations
        times.append(
            (gate.cluster, cluster_time(gate.cluster, evidence) if issues else gate.changed_at)
        )
    times += [(each.cluster, each.changed_at) for each in evidence.issuers if each.changed_at]
    for leaf in evidence.leaves:
        if fingerprint in leaf.signers:
            times += [(leaf.cluster, time) for time in (leaf.not_before, leaf.issued_at) if time]
    return tuple(times)


def untraced(
    request: ChangeRequest,
    evidence: Evidence,
    fingerprint: str,
    now: datetime,
    *,
    longest_lifetime: timedelta,
) -> tuple[Laggard, ...]:
    """Return what may have leaves of the anchor that nobody sees, and from when it has none.

    Args:
        request: the change in which the anchor leaves.
        evidence: what was read.
        fingerprint: of the anchor, which has issued.
        now: by which ends are judged.
        longest_lifetime: of a leaf (`longest_lifetime`).
    """
    return (
        *_sources(request, evidence, fingerprint, longest_lifetime),
        *_authorities(request, evidence, fingerprint, now),
    )


def _sources(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, lifetime: timedelta
) -> Iterator[Laggard]:
    times = stopped_issuing(evidence, fingerprint)
    known = [(cluster, time) for cluster, time in times if time is not None]
    name = _name(request, fingerprint)
    stopped = clears_at = None
    bound = f"when {name} stopped issuing is not recorded"
    if known and len(known) == len(times):
        if not any(remaining(cluster, time + lifetime, evidence) for cluster, time in known):
            return
        stopped = max(time for _, time in known)
        clears_at = max(when(cluster, time + lifetime, evidence) for cluster, time in known)
        bound = (
            f"{name} issued until {instant(stopped)} at the latest, and a leaf of it may live for "
            f"{format_duration(lifetime)}, until {instant(clears_at)}"
        )
    for cluster in evidence.reachable:
        for source in cluster.untraceable:
            yield Laggard(
                cluster=cluster.cluster,
                namespace=source.namespace,
                kind=source.kind,
                name=source.name,
                detail=f"{source.reason}; {bound}",
                since=stopped,
                clears_at=clears_at,
            )


def _authorities(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, now: datetime
) -> Iterator[Laggard]:
    name = _name(request, fingerprint)
    staying = request.new.trusted_fingerprints - {fingerprint}
    for leaf in evidence.leaves:
        if not leaf.authority or not leaf.live(now):
            continue
        if fingerprint in leaf.signers and not leaf.signers & staying:
            below = f"it is a CA below {name}"
        elif fingerprint not in leaf.signers and _followed(leaf, fingerprint):
            below = f"it is a CA, and the one that it took over from may have been below {name}"
        else:
            continue
        end = f" until {instant(leaf.not_after)}" if leaf.not_after else ""
        yield Laggard(
            cluster=leaf.cluster,
            namespace=leaf.namespace,
            kind=leaf.kind,
            name=leaf.name,
            detail=f"{below}; leaves that it signed are not seen, and may live{end}",
            since=leaf.in_place_since,
            clears_at=when_all(leaf.not_after, evidence) if leaf.not_after else None,
        )


def _followed(leaf: LeafObservation, fingerprint: str) -> bool:
    """Whether a CA may have taken over from one below the anchor whose leaves may be alive.

    The one before ends before this one does, if both were asked for with the same lifetime.
    """
    if leaf.predecessor is not None:
        return fingerprint in leaf.predecessor
    if leaf.issuer_since is None or leaf.not_before is None or leaf.not_after is None:
        return True
    return leaf.not_before < leaf.issuer_since + (leaf.not_after - leaf.not_before)


def _name(request: ChangeRequest, fingerprint: str) -> str:
    for stage in (request.old, request.new):
        if stage is not None and (generation := stage.generation_of(fingerprint)) is not None:
            return generation
    return f"sha256:{fingerprint[:16]}"
