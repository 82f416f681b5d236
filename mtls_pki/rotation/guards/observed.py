"""What the guards see of the bundles and clusters of a domain."""

from __future__ import annotations

from mtls_pki.rotation.evidence import BundleObservation, BundlePlace, BundleProblem, Evidence
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.stage import TrustStage

ENDPOINT = "endpoint"
"""``LeafObservation.kind`` of a chain that was served to a live handshake."""
LEFT_BEHIND = "Secret"
"""``LeafObservation.kind`` of a Secret that cert-manager wrote and no Certificate keeps now."""


def known_bundles(request: ChangeRequest, evidence: Evidence) -> tuple[BundleObservation, ...]:
    """Return every bundle of the readable clusters: those asked for, then others that were found.

    A place that was not observed is a missing bundle.
    """
    observed = {bundle.place: bundle for bundle in evidence.bundles}
    readable = {cluster.cluster for cluster in evidence.reachable}
    asked = [
        observed.get(place)
        or BundleObservation(
            place=place, members=(), changed_at=None, problem=BundleProblem.MISSING
        )
        for place in request.places
        if place.cluster in readable
    ]
    besides = [bundle for place, bundle in observed.items() if place not in request.places]
    return (*asked, *besides)


def unread_clusters(request: ChangeRequest, evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return (cluster, error) for every cluster that is asked for and could not be read."""
    unread = {cluster.cluster: cluster.error for cluster in evidence.unreachable}
    readable = {cluster.cluster for cluster in evidence.reachable}
    for place in request.places:
        if place.cluster not in readable:
            unread.setdefault(place.cluster, "no evidence was read from it")
    return tuple(sorted(unread.items()))


def is_fresh_domain(request: ChangeRequest, evidence: Evidence) -> bool:
    """Whether no verifier can exist yet: no gate, no bundle and no leaf of the domain anywhere."""
    absent = {BundleProblem.MISSING, BundleProblem.EMPTY}
    return (
        recorded_stage(request.old) is None
        and not evidence.gates
        and all(bundle.problem in absent for bundle in known_bundles(request, evidence))
        and not any(leaf.signers for leaf in evidence.leaves)
    )


def bundle_name(place: BundlePlace) -> str:
    """``mesh-trust[ca.crt]``: the object and the key in it."""
    return f"{place.name}[{place.key}]"


def recorded_stage(stage: TrustStage | None) -> TrustStage | None:
    """Return ``stage`` unless it names no anchor."""
    return stage if stage is not None and stage.anchors else None
