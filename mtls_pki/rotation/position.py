"""How far a rotation has come, derived from the certificates in the clusters, not from memory."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from mtls_pki.rotation.evidence import BundleObservation, Evidence, IssuerObservation
from mtls_pki.rotation.guards.leaving import leaving
from mtls_pki.rotation.guards.observed import known_bundles, unread_clusters
from mtls_pki.rotation.health import declared_notices
from mtls_pki.rotation.renewal import LeafState, leaf_states
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Notice
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import next_stages
from mtls_pki.rotation.verdict import Verdict, judge


class Phase(enum.StrEnum):
    """How far a rotation has really come."""

    STEADY = "steady"
    SPREADING = "spreading"
    SPREAD = "spread"
    MOVING = "moving"
    MOVED = "moved"
    DISTRUSTING = "distrusting"


PHASE_MEANING = {
    Phase.STEADY: "one anchor, nothing under way",
    Phase.SPREADING: "the incoming anchor is on its way into the bundles",
    Phase.SPREAD: "every bundle has held the incoming anchor for the hold-down",
    Phase.MOVING: "leaves still chain to the outgoing anchor",
    Phase.MOVED: "no leaf needs the outgoing anchor",
    Phase.DISTRUSTING: "a compromised anchor is recorded",
}


@dataclass(frozen=True, kw_only=True)
class AnchorPosition:
    """One anchor as the clusters show it.

    Attributes:
        generation: None for an anchor that a live bundle holds and the stage does not know.
        role: None for such an anchor too.
        not_after: its end, None when it is not known.
        bundles: how many bundles hold it; ``of_bundles`` is how many there are.
        since: when the last of the bundles that hold it was changed; it is in all of them since.
        leaves: how many live leaves chain to it.
        issues: whether anything is configured to issue from it.
    """

    generation: str | None
    fingerprint: str | None
    role: Role | None
    not_after: datetime | None
    bundles: int
    of_bundles: int
    since: datetime | None
    leaves: int
    issues: bool


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """A step that the stage allows: ``verb`` is promote, retire or forget.

    ``earliest`` is when it can succeed: ``judged_at`` if it can now, None if that is not known.
    """

    verb: str
    generations: tuple[str, ...]
    allowed: bool
    earliest: datetime | None
    verdict: Verdict

    @property
    def laggards(self) -> tuple[Laggard, ...]:
        """What keeps the step from being safe."""
        refusals = self.verdict.refusals
        return tuple(dict.fromkeys(who for refusal in refusals for who in refusal.laggards))


@dataclass(frozen=True, kw_only=True)
class ClusterPosition:
    """One cluster: which anchors its bundles hold, and how many live leaves chain to which.

    ``leaves`` maps a fingerprint to a count, ordered by fingerprint; ``overdue_leaves`` are those
    that should have been renewed a while ago, and ``first_end`` is when the first live leaf ends;
    ``error`` is set, and the rest empty, when it could not be read.
    """

    cluster: str
    bundles: tuple[BundleObservation, ...]
    issuers: tuple[IssuerObservation, ...]
    leaves: tuple[tuple[str, int], ...]
    unknown_leaves: int
    foreign_leaves: int
    overdue_leaves: int = 0
    first_end: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far the domain has come in the stage ``request.new`` (here also ``request.old``)."""

    request: ChangeRequest
    at: datetime
    phase: Phase
    anchors: tuple[AnchorPosition, ...]
    clusters: tuple[ClusterPosition, ...]
    steps: tuple[NextStep, ...]
    notices: tuple[Notice, ...]

    def name(self, fingerprint: str) -> str:
        """Return the generation of ``fingerprint``, or its beginning for a stranger."""
        return self.request.new.generation_of(fingerprint) or f"sha256:{fingerprint[:16]}"


def locate(request: ChangeRequest, evidence: Evidence, *, now: datetime) -> Position:
    """Return the position in the stage ``request.new`` by ``evidence`` at ``now`` (aware UTC)."""
    settled = replace(request, old=request.new)
    bundles = known_bundles(settled, evidence)
    live = [leaf for leaf in evidence.leaves if leaf.live(now)]
    leaves = Counter(signer for leaf in live for signer in leaf.signers)
    stage = request.new
    anchors = [
        _anchor(settled, bundles, leaves, anchor.fingerprint, generation)
        for generation, anchor in stage.anchors.items()
    ]
    known = {anchor.fingerprint for anchor in stage.anchors.values()}
    strangers = leaving(settled, evidence) - known
    anchors += [_anchor(settled, bundles, leaves, each, None) for each in sorted(strangers)]
    steps = tuple(_step(settled, evidence, verb, new, now) for verb, new in next_stages(stage))
    return Position(
        request=settled,
        at=now,
        phase=_phase(settled, steps),
        anchors=tuple(anchors),
        clusters=_clusters(settled, evidence, bundles, now),
        steps=steps,
        notices=(
            *declared_notices(settled, evidence, now),
            *judge(settled, evidence, now=now, mode=Mode.PREVIEW).notices,
        ),
    )


def _anchor(
    request: ChangeRequest,
    bundles: Iterable[BundleObservation],
    leaves: Counter[str],
    fingerprint: str | None,
    generation: str | None,
) -> AnchorPosition:
    everywhere = tuple(bundles)
    holding = [bundle for bundle in everywhere if fingerprint in bundle.anchors]
    changes = [bundle.changed_at for bundle in holding]
    times = [time for time in changes if time is not None]
    ends = [
        member.not_after
        for bundle in everywhere
        for member in bundle.members
        if member.fingerprint == fingerprint
    ]
    if generation is not None and generation in request.facts:
        ends = [request.facts[generation].not_after]
    return AnchorPosition(
        generation=generation,
        fingerprint=fingerprint,
        role=request.new.role(generation) if generation else None,
        not_after=max(ends, default=None),
        bundles=len(holding),
        of_bundles=len(everywhere),
        since=max(times) if times and len(times) == len(changes) else None,
        leaves=leaves[fingerprint] if fingerprint else 0,
        issues=generation in request.new.issuing_generations,
    )


def _step(
    request: ChangeRequest, evidence: Evidence, verb: str, after: TrustStage, now: datetime
) -> NextStep:
    # Judged as an update would be: what could not be seen does not count as safe.
    verdict = judge(request.with_stage(after), evidence, now=now, mode=Mode.UP)
    subject = [
        generation
        for generation in request.new.anchors
        if after.role(generation) != request.new.role(generation)
        and after.role(generation) is not Role.OUTGOING
    ]
    return NextStep(
        verb=verb,
        generations=tuple(subject),
        allowed=verdict.allowed,
        earliest=now if verdict.allowed else verdict.earliest,
        verdict=verdict,
    )


def _phase(request: ChangeRequest, steps: tuple[NextStep, ...]) -> Phase:
    allowed = {step.verb: step.allowed for step in steps}
    if request.new.in_role(Role.COMPROMISED):
        return Phase.DISTRUSTING
    if "retire" in allowed:
        return Phase.MOVED if allowed["retire"] else Phase.MOVING
    if "promote" in allowed:
        return Phase.SPREAD if allowed["promote"] else Phase.SPREADING
    return Phase.STEADY


def _clusters(
    request: ChangeRequest,
    evidence: Evidence,
    bundles: tuple[BundleObservation, ...],
    now: datetime,
) -> tuple[ClusterPosition, ...]:
    found = []
    late = Counter(
        leaf.cluster for leaf, state in leaf_states(evidence, now) if state is LeafState.OVERDUE
    )
    for cluster in evidence.reachable:
        live = [leaf for leaf in cluster.leaves if leaf.live(now)]
        counts = Counter(signer for leaf in live for signer in leaf.signers)
        found.append(
            ClusterPosition(
                cluster=cluster.cluster,
                bundles=tuple(b for b in bundles if b.place.cluster == cluster.cluster),
                issuers=cluster.issuers,
                leaves=tuple(sorted(counts.items())),
                unknown_leaves=sum(leaf.problem is not None for leaf in live),
                foreign_leaves=sum(not leaf.signers and leaf.problem is None for leaf in live),
                overdue_leaves=late[cluster.cluster],
                first_end=min((leaf.not_after for leaf in live if leaf.not_after), default=None),
            )
        )
    found += [
        ClusterPosition(
            cluster=cluster,
            bundles=(),
            issuers=(),
            leaves=(),
            unknown_leaves=0,
            foreign_leaves=0,
            error=error,
        )
        for cluster, error in unread_clusters(request, evidence)
    ]
    return tuple(sorted(found, key=lambda each: each.cluster))
