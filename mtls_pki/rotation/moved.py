"""Whose leaf a workload may still serve although its Secret has a newer one.

A workload serves the leaf before until kubelet has brought the new one, which takes no longer than
bringing a bundle: the hold-down. Within it a leaf that was just put in place holds back the anchor
of the one before, unless what is recorded shows that this was another anchor, or that there was no
leaf before. Renewals of a fleet therefore hold an anchor back for one lifetime after their issuer
changed, and not for ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mtls_pki.rotation.evidence import LeafObservation


def may_serve_predecessor(
    leaf: LeafObservation,
    fingerprint: str,
    *,
    now: datetime,
    hold_down: timedelta,
    longest_lifetime: timedelta,
) -> bool:
    """Return whether the workload of ``leaf`` may still serve a leaf of the anchor.

    Args:
        leaf: what is in place now. One that chains to the anchor itself, and one whose own signer
            is unknown, are judged as they are and not here.
        fingerprint: of the anchor that is to leave.
        now: the time of the evidence.
        hold_down: how long it takes at most until a change reaches a workload.
        longest_lifetime: of any leaf that may have been before (``tracing.longest_lifetime``).
    """
    if fingerprint in leaf.signers or leaf.problem is not None:
        return False
    since = leaf.in_place_since
    if since is not None and since + hold_down <= now:
        return False
    if leaf.predecessor is not None:
        return fingerprint in leaf.predecessor
    return may_have_followed(leaf, longest_lifetime)


def may_have_followed(leaf: LeafObservation, longest_lifetime: timedelta) -> bool:
    """Return whether the leaf before may have been signed by another issuer than this one.

    The leaf before is alive only if it was issued at most one lifetime before this one. Where the
    issuer was what it is for longer than that, it signed both. ``longest_lifetime`` is that of any
    leaf, not that of this one: the leaf before may have been asked for with another lifetime.
    """
    if leaf.predecessor is not None:
        return bool(leaf.predecessor)
    since = leaf.in_place_since
    if since is None or leaf.issuer_since is None:
        return True
    return since < leaf.issuer_since + longest_lifetime
