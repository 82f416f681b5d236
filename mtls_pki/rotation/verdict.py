"""The verdict on a change of stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation import rules
from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.chains import chains_verify
from mtls_pki.rotation.guards.dates import within_dates
from mtls_pki.rotation.guards.distrust import distrusted_stay_so, waivable
from mtls_pki.rotation.guards.issuing import held_everywhere
from mtls_pki.rotation.guards.leaving import no_live_leaf
from mtls_pki.rotation.guards.observed import unread_clusters
from mtls_pki.rotation.guards.ownership import one_owner
from mtls_pki.rotation.guards.places import leaving_places
from mtls_pki.rotation.notices import notices, who_breaks
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.rules import Laggard, Notice, Refusal
from mtls_pki.rotation.transitions import Change, classify, identity_refusals, structural_refusals


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a change may be applied now, and everything a person needs to know about that.

    ``unread`` lists (cluster, error) of the clusters that could not be read.
    """

    request: ChangeRequest
    mode: Mode
    judged_at: datetime
    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...]
    notices: tuple[Notice, ...]
    unread: tuple[tuple[str, str], ...]

    @property
    def allowed(self) -> bool:
        """Whether the change may go on in this mode."""
        return not self.refusals

    @property
    def of_other_clusters(self) -> bool:
        """Whether the names of the clusters do not reach the clusters that they mean."""
        clusters = (rules.RECORDED_CLUSTER, rules.ONE_NAME_PER_CLUSTER)
        return any(refusal.rule in clusters for refusal in self.refusals)

    @property
    def earliest(self) -> datetime | None:
        """When the change can succeed at the earliest; None when allowed, or not computable."""
        times = [refusal.earliest for refusal in self.refusals]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    @property
    def exit_code(self) -> ExitStatus:
        """Blocked if something that was seen blocks; otherwise evidence missing; otherwise safe."""
        if any(refusal.rule is not rules.EVIDENCE_COMPLETE for refusal in self.refusals):
            return ExitStatus.BLOCKED
        return ExitStatus.EVIDENCE_MISSING if self.unread else ExitStatus.DONE


Guard = Callable[[ChangeRequest, Evidence, datetime], list[Refusal]]
"""A question that evidence answers: (change, evidence, now) -> the refusals, none if it is safe."""

GUARDS: tuple[Guard, ...] = (
    within_dates,
    held_everywhere,
    no_live_leaf,
    chains_verify,
    leaving_places,
    one_owner,
)


def judge(request: ChangeRequest, evidence: Evidence, *, now: datetime, mode: Mode) -> Verdict:
    """Judge ``request`` by ``evidence`` at ``now`` (aware UTC).

    Shape first: a change that waiting cannot make safe is refused for that alone, and evidence is
    not looked at. A change that distrusts an anchor does not wait for what has to do with that
    anchor; such refusals become notices, which say who will break. It waives nothing else.
    """
    shape = list(
        structural_refusals(request.old, request.new, acknowledgements=request.acknowledgements)
    )
    for gate in evidence.gates:
        if gate.stage is not None and gate.stage != request.old:
            shape += identity_refusals(gate.stage, request.new)
    shape += distrusted_stay_so(request)
    shape += cluster_refusals(evidence, evidence.pinned, abandon=request.abandon)
    unread = unread_clusters(request, evidence)
    said = list(notices(request, evidence, now))
    refusals = list(dict.fromkeys(shape))
    if not shape:
        waived = waivable(request, evidence)
        seen = [refusal for guard in GUARDS for refusal in guard(request, evidence, now)]
        if unread and mode is Mode.UP:
            seen.append(_incomplete(unread))
        skipped = [refusal for refusal in seen if waived(refusal)]
        refusals = [refusal for refusal in seen if refusal not in skipped]
        said = [*who_breaks(request, evidence, now), *map(_skipped, skipped), *said]
    return Verdict(
        request=request,
        mode=mode,
        judged_at=now,
        changes=classify(request.old, request.new),
        refusals=tuple(refusals),
        notices=tuple(said),
        unread=unread,
    )


def _skipped(refusal: Refusal) -> Notice:
    return Notice(
        identifier="skipped-guard",
        message=f"not waited for, because an anchor is distrusted: {refusal.rule.sentence} "
        + "; ".join(refusal.seen),
        laggards=refusal.laggards,
    )


def _incomplete(unread: tuple[tuple[str, str], ...]) -> Refusal:
    return Refusal(
        rule=rules.EVIDENCE_COMPLETE,
        seen=tuple(f"cluster {cluster} could not be read: {error}" for cluster, error in unread),
        laggards=tuple(
            Laggard(cluster=cluster, namespace="", kind="cluster", name="", detail=error)
            for cluster, error in unread
        ),
        remedy="make the cluster reachable and run again, or take it out of mtls-pki:clusters",
    )
