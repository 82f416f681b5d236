"""Who starts to issue: only an anchor that every bundle has held for the hold-down.

**Joining a running domain.** Where the configuration asks for a bundle and there is none, the same
update creates it with the whole trust set. That is safe as long as nothing starts to issue in that
update, so the missing bundle is not refused then. When something starts to issue, it is a laggard.
**Fresh domain.** With no gate, no bundle and no leaf anywhere there is no verifier to break.
"""

from __future__ import annotations

from datetime import datetime

from mtls_pki.rotation import rules
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import BundleObservation, Evidence
from mtls_pki.rotation.guards.laggards import latest, of_bundle
from mtls_pki.rotation.guards.observed import is_fresh_domain, known_bundles, recorded_stage
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Laggard, Refusal
from mtls_pki.rotation.text import instant


def starting(request: ChangeRequest, evidence: Evidence, now: datetime) -> tuple[str, ...]:
    """Return the generations that issue after the change and did not issue before it.

    This cluster's gate records what issued before. For a cluster without a gate that joins a
    running domain, the other clusters' gates say it. Without any gate (it was lost), an anchor with
    live leaves counts as one that issued before.
    """
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if recorded := recorded_stage(request.old):
        stages = [recorded]
    if stages:
        before = {s.anchors[g].fingerprint for s in stages for g in s.issuing_generations}
    else:
        live = (leaf for leaf in evidence.leaves if leaf.live(now))
        before = {signer for leaf in live for signer in leaf.signers}
    before.discard(None)
    return tuple(
        generation
        for generation in request.new.issuing_generations
        if request.new.anchors[generation].fingerprint not in before
    )


def valid_issuers(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse an anchor that starts to issue outside its dates, or whose issuing CA has ended."""
    refusals = []
    for generation in starting(request, evidence, now):
        facts = request.facts.get(generation)
        if facts is None:
            continue
        earliest = None
        if now >= facts.not_after:
            seen = f"{generation} ended at {instant(facts.not_after)}"
            remedy = "add a new generation, or renew this one: same key, new validFrom and validFor"
        elif now < facts.not_before:
            seen = f"{generation} is valid from {instant(facts.not_before)}"
            remedy, earliest = "wait until then, or set an earlier validFrom", facts.not_before
        elif facts.issuing_ca_not_after is not None and now >= facts.issuing_ca_not_after:
            seen = f"the issuing CA of {generation} ended at {instant(facts.issuing_ca_not_after)}"
            remedy = "renew the issuing CA: same key, new validFrom and validFor"
        else:
            continue
        refusals.append(
            Refusal(
                rule=rules.VALID_ISSUER,
                generation=generation,
                fingerprint=request.new.anchors[generation].fingerprint,
                seen=(seen,),
                remedy=remedy,
                earliest=earliest,
            )
        )
    return refusals


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
            if (laggard := _bundle_laggard(request, bundle, generation, now))
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
    request: ChangeRequest, bundle: BundleObservation, generation: str, now: datetime
) -> Laggard | None:
    fingerprint = request.new.anchors[generation].fingerprint
    if not bundle.holds(fingerprint, now):
        detail = f"does not hold {generation}"
        if bundle.problem is not None:
            explained = f": {bundle.detail}" if bundle.detail else ""
            detail = f"{bundle.problem}{explained}"
        elif fingerprint in bundle.anchors:
            detail = f"holds only an ended certificate of {generation}"
        if bundle.place not in request.places:
            detail += "; the configuration does not ask for it: delete it or add its namespace"
        return of_bundle(bundle, detail=detail, clears_at=now + request.hold_down)
    if bundle.changed_at is None:
        return of_bundle(
            bundle, detail="the server recorded no time of its last change", clears_at=None
        )
    clears_at = bundle.changed_at + request.hold_down
    if clears_at <= now:
        return None
    detail = f"changed at {instant(bundle.changed_at)}, less than the hold-down ago"
    return of_bundle(bundle, detail=detail, clears_at=clears_at)
