"""The verdict on a change of stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.issuing import held_everywhere, valid_issuers
from mtls_pki.rotation.guards.leaving import no_live_leaf
from mtls_pki.rotation.guards.observed import unread_clusters
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


def judge(request: ChangeRequest, evidence: Evidence, *, now: datetime, mode: Mode) -> Verdict:
    """Judge ``request`` by ``evidence`` at ``now`` (aware UTC).

    Shape first: a change that waiting cannot make safe is refused for that alone, and evidence is
    not looked at. When a change distrusts an anchor, what evidence says becomes notices: the change
    does not wait, but it still says what will break. Nothing else is refused then, not even an
    unrelated bundle or an unreachable cluster: the person who stole the key may have caused it.
    """
    shape = list(
        structural_refusals(request.old, request.new, acknowledgements=request.acknowledgements)
    )
    for gate in evidence.gates:
        if gate.stage is not None and gate.stage != request.old:
            shape += identity_refusals(gate.stage, request.new)
    unread = unread_clusters(request, evidence)
    said = list(notices(request, evidence, now))
    refusals = list(dict.fromkeys(shape))
    if not shape:
        refusals = valid_issuers(request, evidence, now)
        seen = [
            *held_everywhere(request, evidence, now),
            *no_live_leaf(request, evidence, now),
        ]
        if request.distrusts:
            said = [*who_breaks(request, evidence, now), *map(_skipped, seen), *said]
        else:
            refusals += seen
            if unread and mode is Mode.UP and request.changes:
                refusals.append(_incomplete(unread))
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
