"""Builders of stages, evidence and requests for the tests of the rotation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from mtls_pki.rotation.evidence import (
    BundleMember,
    BundleObservation,
    BundlePlace,
    ClusterEvidence,
    ClusterUnreachable,
    Evidence,
    GateObservation,
    LeafObservation,
)
from mtls_pki.rotation.request import AnchorFacts, ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
HOLD_DOWN = timedelta(minutes=2)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


def fingerprint(generation: str) -> str:
    """Return the fingerprint that ``generation`` has in these tests."""
    return hashlib.sha256(generation.encode()).hexdigest()


def stage(canaries: Mapping[str, str] | None = None, **roles: str) -> TrustStage:
    """``stage(g1="issuing", g2="incoming")``."""
    return TrustStage(
        anchors={g: Anchor(role=Role(r), fingerprint=fingerprint(g)) for g, r in roles.items()},
        canaries=canaries or {},
    )


def place(cluster: str = "dev", namespace: str = "monoskope") -> BundlePlace:
    """Return the place of one bundle."""
    return BundlePlace(cluster=cluster, namespace=namespace, name="mesh-trust", key="ca.crt")


def member(generation: str, *, not_after: datetime = NOW + 10 * YEAR) -> BundleMember:
    """Return the root of ``generation`` as a bundle holds it."""
    return BundleMember(
        fingerprint=fingerprint(generation),
        subject=f"CN=root-{generation}",
        not_after=not_after,
        self_signed=True,
    )


def bundle(
    *generations: str,
    at: BundlePlace | None = None,
    changed_at: datetime | None = NOW - DAY,
) -> BundleObservation:
    """Return a bundle that holds ``generations``."""
    return BundleObservation(
        place=at or place(),
        members=tuple(member(generation) for generation in generations),
        changed_at=changed_at,
    )


def leaf(
    name: str,
    *generations: str,
    cluster: str = "dev",
    issued: datetime = NOW - timedelta(hours=1),
    lifetime: timedelta = DAY,
    declared: bool = True,
    kind: str = "Certificate",
    issuing_ca_not_after: datetime | None = None,
    problem: str | None = None,
) -> LeafObservation:
    """Return a leaf that chains to ``generations``."""
    return LeafObservation(
        cluster=cluster,
        namespace="monoskope",
        name=name,
        kind=kind,
        declared=declared,
        signers=frozenset(fingerprint(generation) for generation in generations),
        issuer=f"ClusterIssuer/mtls-ca-{generations[0] if generations else 'unknown'}",
        not_before=issued,
        not_after=issued + lifetime,
        issuing_ca_not_after=issuing_ca_not_after,
        problem=problem,
    )


def cluster(
    name: str = "dev",
    *,
    bundles: Iterable[BundleObservation] = (),
    leaves: Iterable[LeafObservation] = (),
    gate: TrustStage | None = None,
    gate_changed_at: datetime = NOW - DAY,
) -> ClusterEvidence:
    """Return what was read from one cluster."""
    return ClusterEvidence(
        cluster=name,
        bundles=tuple(bundles),
        leaves=tuple(leaves),
        gate=GateObservation(cluster=name, stage=gate, changed_at=gate_changed_at)
        if gate
        else None,
    )


def evidence(*clusters: ClusterEvidence | ClusterUnreachable) -> Evidence:
    """Return what was read from all clusters."""
    return Evidence(observed_at=NOW, clusters=clusters)


def request(
    old: TrustStage | None,
    new: TrustStage,
    *,
    places: Iterable[BundlePlace] | None = None,
    ends: Mapping[str, datetime] | None = None,
    **others: object,
) -> ChangeRequest:
    """Return the request to change ``old`` to ``new``; anchors live ten years unless ``ends``."""
    facts = {
        generation: AnchorFacts(
            common_name=f"root-{generation}",
            not_before=NOW - YEAR,
            not_after=(ends or {}).get(generation, NOW + 10 * YEAR),
        )
        for generation in new.anchors
    }
    arguments: dict[str, object] = {
        "trust_domain": "monoskope.cluster.local",
        "old": old,
        "new": new,
        "facts": facts,
        "places": tuple(places) if places is not None else (place(),),
        "hold_down": HOLD_DOWN,
        **others,
    }
    return ChangeRequest(**arguments)  # type: ignore[arg-type]
