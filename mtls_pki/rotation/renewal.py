"""How a leaf stands between its renewal and its end."""

from __future__ import annotations

import enum
from datetime import datetime

from mtls_pki.rotation.evidence import Evidence, IssuerUse, LeafObservation

# cert-manager renews in time, so a leaf for which this share of the rest is gone is overdue: right
# for a lifetime of an hour and for one of a year, where a number of days is right for one of them.
_OVERDUE_SHARE = 0.2


class LeafState(enum.StrEnum):
    """Where a leaf stands."""

    LIVE = "live"
    DUE = "due"
    OVERDUE = "overdue"
    EXPIRED = "expired"


def leaf_states(evidence: Evidence, at: datetime) -> list[tuple[LeafObservation, LeafState]]:
    """Return every leaf with its state at ``at``."""
    uses = {(use.cluster, use.namespace, use.name): use for use in evidence.uses}
    return [
        (leaf, _state(leaf, uses.get((leaf.cluster, leaf.namespace, leaf.name)), at))
        for leaf in evidence.leaves
    ]


def _state(leaf: LeafObservation, use: IssuerUse | None, at: datetime) -> LeafState:
    if not leaf.live(at):
        return LeafState.EXPIRED
    renewal = use.renewal_at if use is not None else None
    # Nothing says when it is renewed, or nobody renews it (`renewal.policy: Disabled`).
    if renewal is None or leaf.not_after is None or at < renewal:
        return LeafState.LIVE
    overdue = renewal + _OVERDUE_SHARE * (leaf.not_after - renewal)
    return LeafState.OVERDUE if overdue <= at else LeafState.DUE
