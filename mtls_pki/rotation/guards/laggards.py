"""Laggards: the bundles and leaves that a refusal names."""

from __future__ import annotations

from datetime import datetime

from mtls_pki.rotation.evidence import BundleObservation, LeafObservation, SessionObservation
from mtls_pki.rotation.guards.observed import bundle_name
from mtls_pki.rotation.rules import Laggard


def of_bundle(bundle: BundleObservation, *, detail: str, clears_at: datetime | None) -> Laggard:
    """Return the laggard that a bundle is."""
    place = bundle.place
    return Laggard(
        cluster=place.cluster,
        namespace=place.namespace,
        kind=place.kind,
        name=bundle_name(place),
        detail=detail,
        since=bundle.changed_at,
        clears_at=clears_at,
    )


def of_leaf(leaf: LeafObservation, *, detail: str, clears_at: datetime | None) -> Laggard:
    """Return the laggard that a leaf is."""
    return Laggard(
        cluster=leaf.cluster,
        namespace=leaf.namespace,
        kind=leaf.kind,
        name=leaf.name,
        detail=detail,
        since=leaf.in_place_since,
        clears_at=clears_at,
    )


def of_session(session: SessionObservation, detail: str) -> Laggard:
    """Return the laggard that an open connection is."""
    return Laggard(
        cluster="",
        namespace="",
        kind="session",
        name=session.client,
        detail=detail,
        since=session.since,
    )


def latest(laggards: tuple[Laggard, ...]) -> datetime | None:
    """When the last laggard can clear, None when one of them has no computable time."""
    times = [laggard.clears_at for laggard in laggards]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None
