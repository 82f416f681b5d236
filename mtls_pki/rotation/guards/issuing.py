"""Who starts to issue: only an anchor that every bundle has held for the hold-down.

**Joining a running domain.** Where the configuration asks for a bundle and there is none, the same
update creates it with the whole trust set. That is safe as long as nothing starts to issue in that
update, so the missing bundle is not refused then. When something starts to issue, it is a laggard.
**Fresh domain.** With no gate, no bundle and no leaf anywhere there is no verifier to break.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mtls_pki.pki.ca_facts import interchangeable
from mtls_pki.rotation import rules
from mtls_pki.rotation.clocks import local_time, remaining, surely_valid, when
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import (
    BundleObservation,
    BundlePlace,
    BundleProblem,
    Evidence,
    LeafObservation,
)
from mtls_pki.rotation.guards.laggards import latest, of_bundle
from mtls_pki.rotation.guards.observed import is_fresh_domain, known_bundles, recorded_stage
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Laggard, Refusal
from mtls_pki.rotation.text import instant


def starting(request: ChangeRequest, evidence: Evidence, now: datetime) -> tuple[str, ...]:
    """Return the generations from which somebody gets a leaf who has none of it now.

    The record says what was meant to issue; what really issues is told by live leaves and issuers.
    An update that was killed after the record, or a record that was edited by hand, has moved
    nobody yet. For a cluster that joins, the other clusters' records count, and without any record
    (it was lost) an anchor with live leaves is one that issued before.
    """
    before = _issued_before(request, evidence, now)
    moving = _moving(request, evidence, now) | _without_issuer(request, evidence)
    return tuple(
        generation
        for generation in request.new.issuing_generations
        if generation in moving or request.new.anchors[generation].fingerprint not in before
    )


def _issued_before(
    request: ChangeRequest, evidence: Evidence, now: datetime
) -> frozenset[str | None]:
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if recorded := recorded_stage(request.old):
        stages = [recorded]
    if stages:
        issued = {s.anchors[g].fingerprint for s in stages for g in s.issuing_generations}
        return frozenset(issued - {None})
    live = (leaf for leaf in evidence.leaves if leaf.live(now))
    return frozenset(signer for leaf in live for signer in leaf.signers)


def _moving(request: ChangeRequest, evidence: Evidence, now: datetime) -> set[str]:
    """Generations whose issuer is to sign for somebody that another anchor signed for last."""
    found = set()
    newest: dict[tuple[str, str], LeafObservation] = {}
    for leaf in evidence.leaves:
        if not leaf.signers or not leaf.live(now):
            continue
        if leaf.declared:
            name = f"{leaf.namespace}/{leaf.name}"
            target = request.new.canaries.get(name, request.new.issuing)
            if target is not None and not _signed_by(request, leaf, target):
                found.add(target)
        elif request.domain is not None and leaf.issuer in request.domain.issuers:
            place = (leaf.cluster, leaf.issuer)
            newest[place] = max(leaf, newest.get(place, leaf), key=_issued_at)
    if request.domain is not None:
        found |= {
            target
            for (_, issuer), leaf in newest.items()
            if not _signed_by(request, leaf, target := request.domain.issuers[issuer])
        }
    return found & {*request.new.issuing_generations}


def _signed_by(request: ChangeRequest, leaf: LeafObservation, generation: str) -> bool:
    anchor = request.new.anchors.get(generation)
    return anchor is not None and anchor.fingerprint in leaf.signers


def _issued_at(leaf: LeafObservation) -> datetime:
    return leaf.not_before or datetime.min.replace(tzinfo=UTC)


def _without_issuer(request: ChangeRequest, evidence: Evidence) -> set[str]:
    """Generations that are recorded as issuing, while others issued all leaves and their issuer is
    not there yet.
    """
    signers = {signer for leaf in evidence.leaves for signer in leaf.signers}
    if request.domain is None or not signers:
        return set()
    found = set()
    for cluster in evidence.reachable:
        if cluster.gate is None or cluster.gate.stage is None:
            continue
        there = {f"{issuer.kind}/{issuer.name}" for issuer in cluster.issuers}
        found |= {
            generation
            for name, generation in request.domain.issuers.items()
            if name not in there
            and generation in cluster.gate.stage.issuing_generations
            and cluster.gate.stage.anchors[generation].fingerprint not in signers
        }
    return found & {*request.new.issuing_generations}


def held_everywhere(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse an anchor that starts to issue before every bundle has held it for the hold-down."""
    if is_fresh_domain(request, evidence):
        return []
    bundles = known_bundles(request, evidence)
    refusals = []
    for generation in starting(request, evidence, now):
        fingerprint = request.new.anchors[generation].fingerprint
        laggards = tuple(
            laggard
            for bundle in bundles
            if (laggard := _bundle_laggard(request, evidence, bundle, generation, now))
        )
        if not laggards:
            continue
        canaries = request.new.canaries_on(generation)
        why = f" for {', '.join(canaries)}" if request.new.issuing != generation else ""
        refusals.append(
            Refusal(
                rule=rules.HELD_EVERYWHERE,
                generation=generation,
                fingerprint=fingerprint,
                seen=(
                    f"{generation} (sha256:{fingerprint}) would start to issue{why}",
                    f"{len(bundles) - len(laggards)} of {len(bundles)} bundles have held it for "
                    f"{format_duration(request.hold_down)}",
                ),
                laggards=laggards,
                remedy=f"keep {generation} trusted but not issuing, apply, and wait for the "
                "hold-down; then make this change again",
                earliest=latest(laggards),
            )
        )
    return refusals


def _bundle_laggard(
    request: ChangeRequest,
    evidence: Evidence,
    bundle: BundleObservation,
    generation: str,
    now: datetime,
) -> Laggard | None:
    fingerprint = request.new.anchors[generation].fingerprint
    if _joins(request, bundle, generation):
        return None
    if not _holds(request, evidence, bundle, generation, now):
        detail = f"does not hold {generation}"
        if bundle.problem is not None:
            explained = f": {bundle.detail}" if bundle.detail else ""
            detail = f"{bundle.problem}{explained}"
        elif fingerprint in bundle.anchors:
            detail = f"holds only a certificate of {generation} that verifiers judge differently"
        if bundle.hint:
            detail += f"; {bundle.hint}"
        elif bundle.place not in request.places:
            detail += "; the configuration does not ask for it: delete it or add its namespace"
        return of_bundle(bundle, detail=detail, clears_at=local_time(evidence) + request.hold_down)
    if bundle.changed_at is None:
        return of_bundle(bundle, detail=_without_time(bundle.place), clears_at=None)
    held_since, cluster = bundle.changed_at, bundle.place.cluster
    if not remaining(cluster, held_since + request.hold_down, evidence):
        return None
    clears_at = when(cluster, held_since + request.hold_down, evidence)
    detail = f"changed at {instant(bundle.changed_at)}, less than the hold-down ago"
    return of_bundle(bundle, detail=detail, clears_at=clears_at)


def _without_time(place: BundlePlace) -> str:
    """What to do where the API server does not know since when a bundle is what it is."""
    live = f"kubectl get configmap -n {place.namespace} {place.name} -o yaml"
    return (
        "the server recorded no time of its last change (managedFields was cleared), so its "
        f"hold-down cannot begin; write it again as it is: {live} | kubectl apply --server-side "
        "--force-conflicts --field-manager=mtls-pki -f -"
    )


def _joins(request: ChangeRequest, bundle: BundleObservation, generation: str) -> bool:
    """Whether the place is new to a domain that issues from the generation already.

    Nobody there has mounted a bundle yet, and the first one that comes has the whole trust set.
    """
    if request.recorded is None or bundle.problem is not BundleProblem.MISSING:
        return False
    if request.old is None or generation not in request.old.issuing_generations:
        return False
    domain = request.recorded.domain
    place = bundle.place
    return place.cluster not in domain.clusters or place.namespace not in domain.namespaces


def _holds(
    request: ChangeRequest,
    evidence: Evidence,
    bundle: BundleObservation,
    generation: str,
    now: datetime,
) -> bool:
    """Whether a verifier with this bundle judges the anchor as one with the configured root."""
    fingerprint = request.new.anchors[generation].fingerprint
    configured = request.roots.get(generation)
    if configured is None:
        return bundle.holds(fingerprint, now)
    return any(
        member.facts is not None
        and surely_valid(member.facts.not_before, member.facts.not_after, evidence)
        and interchangeable(member.facts, configured)
        for member in bundle.members
    )
