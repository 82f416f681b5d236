"""Who leaves the bundles: only an anchor that no live leaf needs.

The question is which anchors some verifier trusts now that it will not trust after the change, so
removal, rollback and abandoning are covered by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mtls_pki.rotation import rules
from mtls_pki.rotation.clocks import cluster_time, local_time, when, when_all
from mtls_pki.rotation.evidence import Evidence, LeafObservation
from mtls_pki.rotation.guards.laggards import latest, of_leaf, of_session
from mtls_pki.rotation.guards.observed import LEFT_BEHIND, recorded_stage
from mtls_pki.rotation.moved import may_serve_predecessor
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Refusal
from mtls_pki.rotation.text import instant
from mtls_pki.rotation.tracing import longest_lifetime, untraced


def no_live_leaf(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse to take an anchor out of the bundles while a live leaf needs it.

    The anchors that leave are those of the recorded stage and those that live bundles hold, a root
    that somebody added by hand included, minus those of the new stage. An anchor that is or was
    compromised leaves on purpose, and no verifier believes an anchor that has ended any more; a
    notice says so instead (``mtls_pki.rotation.notices``).
    """
    refusals = []
    for fingerprint in sorted(leaving(request, evidence)):
        if ended(request, evidence, fingerprint, now) or _on_purpose(request, fingerprint):
            continue
        laggards = tuple(leaf_laggards(request, evidence, fingerprint, now))
        if laggards:
            refusals.append(_leaving_refusal(request, evidence, fingerprint, laggards))
    return refusals


def leaving(request: ChangeRequest, evidence: Evidence) -> frozenset[str]:
    """Fingerprints that some verifier trusts before the change and none should trust after it."""
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if recorded := recorded_stage(request.old):
        stages.append(recorded)
    before = {fingerprint for stage in stages for fingerprint in stage.trusted_fingerprints}
    before |= {member.fingerprint for bundle in evidence.bundles for member in bundle.members}
    if request.recorded is not None:
        before |= frozenset(request.recorded.domain.partners.values())
    return frozenset(before - request.trusted_after)


def ended(request: ChangeRequest, evidence: Evidence, fingerprint: str, now: datetime) -> bool:
    """Whether the anchor's certificates are all known to have ended; unknown counts as alive."""
    ends = [
        member.not_after
        for bundle in evidence.bundles
        for member in bundle.members
        if member.fingerprint == fingerprint
    ]
    generation = request.new.generation_of(fingerprint)
    if generation is not None and generation in request.facts:
        ends.append(request.facts[generation].not_after)
    return bool(ends) and max(ends) <= now


def leaves_needing(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, now: datetime
) -> Iterator[LeafObservation]:
    """Yield the live leaves that chain to the anchor and to none that stays trusted and alive.

    A leaf under cross-signed CAs that also chains to an anchor that stays does not break: only
    leaves that chain to nothing else hold an anchor back.
    """
    staying = {
        other
        for other in request.trusted_after
        if other != fingerprint and not ended(request, evidence, other, now)
    }
    for leaf in evidence.leaves:
        if leaf.live(now) and fingerprint in leaf.signers and not leaf.signers & staying:
            yield leaf


def leaf_laggards(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, now: datetime
) -> Iterator[Laggard]:
    """Yield what keeps the anchor from leaving: leaves that need it, those whose signer is unknown,
    those that may have moved off it within the hold-down, and what cannot be traced.

    Why leaves that may have moved: a workload serves its old leaf until kubelet has brought the new
    one. That takes as long as bringing a bundle, and a verifier may see the smaller bundle at once.
    """
    name = name_of(request, fingerprint)
    soon = local_time(evidence) + request.hold_down
    for leaf in leaves_needing(request, evidence, fingerprint, now):
        owner = "" if leaf.declared else ", not declared by this stack"
        end = f", ends {instant(leaf.not_after)}" if leaf.not_after else ""
        if leaf.kind == LEFT_BEHIND:
            owner = "; no Certificate keeps it: delete it, if no workload mounts it"
        if leaf.unlisted:
            owner = "; nobody lists what it signed, so time alone clears it"
            clears_at = when_all(leaf.not_after, evidence) if leaf.not_after else None
        elif leaf.not_after:
            clears_at = min(when_all(leaf.not_after, evidence), soon)
        else:
            clears_at = soon
        yield of_leaf(
            leaf,
            detail=f"chains to {name}, issuer {leaf.issuer}{end}{owner}",
            clears_at=clears_at,
        )
    may_have_issued = _may_have_issued(request, evidence, fingerprint)
    longest = longest_lifetime(evidence, request.longest_lifetime)
    for leaf in evidence.leaves:
        if not leaf.live(now):
            continue
        if leaf.problem is not None:
            yield of_leaf(
                leaf,
                detail=f"its signer is unknown, so it may be {name}: {leaf.problem}",
                clears_at=when_all(leaf.not_after, evidence) if leaf.not_after else None,
            )
        elif may_have_issued and may_serve_predecessor(
            leaf,
            fingerprint,
            now=cluster_time(leaf.cluster, evidence),
            hold_down=request.hold_down,
            longest_lifetime=longest,
        ):
            since = leaf.in_place_since or cluster_time(leaf.cluster, evidence)
            yield of_leaf(
                leaf,
                detail=f"was issued at {instant(since)}; its workload may still serve "
                f"the leaf before it until the hold-down has passed",
                clears_at=when(leaf.cluster, since + request.hold_down, evidence),
            )
    for session in evidence.sessions_under(fingerprint):
        if session.holds:
            yield of_session(session, f"connected to {session.server} under {name}")
    if may_have_issued and _of_domain(request, fingerprint):
        yield from untraced(request, evidence, fingerprint, now, longest_lifetime=longest)


def _of_domain(request: ChangeRequest, fingerprint: str) -> bool:
    """Whether it is, or was, an anchor of this domain, and no root of somebody else."""
    recorded = request.recorded.domain.generations if request.recorded else {}
    known = request.old is not None and request.old.generation_of(fingerprint) is not None
    return known or fingerprint in recorded


def _may_have_issued(request: ChangeRequest, evidence: Evidence, fingerprint: str) -> bool:
    """Whether a leaf of the anchor may have existed.

    The record says which anchors have issued. Where an earlier release wrote it, no leaf can exist
    if nothing happened since the anchor was added: it is incoming, no service names it, no leaf
    chains to it, and every bundle that holds it was written after its cluster's stage was. After a
    withdrawn promotion the bundles are older than the stage.
    """
    if any(fingerprint in leaf.signers for leaf in evidence.leaves):
        return True
    if request.recorded is not None and fingerprint in request.recorded.domain.generations:
        return fingerprint in request.recorded.domain.issued
    stage = recorded_stage(request.old)
    generation = stage.generation_of(fingerprint) if stage else None
    if stage is None or generation is None or stage.role(generation) is not Role.INCOMING:
        return True
    if generation in stage.issuing_generations:
        return True
    applied = {gate.cluster: gate.changed_at for gate in evidence.gates}
    for bundle in evidence.bundles:
        if fingerprint not in bundle.anchors:
            continue
        written, stage_written = bundle.changed_at, applied.get(bundle.place.cluster)
        if written is None or stage_written is None or written < stage_written:
            return True
    return False


def _leaving_refusal(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, laggards: tuple[Laggard, ...]
) -> Refusal:
    known = _of_domain(request, fingerprint)
    generation = name_of(request, fingerprint) if known else _whose(request, fingerprint)
    holding = sum(
        any(member.fingerprint == fingerprint for member in bundle.members)
        for bundle in evidence.bundles
    )
    seen = (
        f"{generation} (sha256:{fingerprint}) would leave the bundles; {holding} of "
        f"{len(evidence.bundles)} hold it now",
        f"{len(laggards)} of {len(evidence.leaves)} leaves keep it",
    )
    remedy = (
        f"keep {generation} as outgoing until they have moved: cert-manager reissues declared "
        "leaves by itself, `mtls-pki reissue` moves those on the stable issuer, and any other "
        "needs an issuerRef to the issuing generation"
    )
    if not known:
        remedy = (
            "it is no anchor of this stack: keep it under trust.partners with its certificate as "
            "long as its leaves are to be trusted, or move them to an issuer of the issuing "
            "generation"
        )
    return Refusal(
        rule=rules.NO_LIVE_LEAF,
        generation=generation if known else None,
        fingerprint=fingerprint,
        seen=seen,
        laggards=laggards,
        remedy=remedy,
        earliest=latest(laggards),
    )


def name_of(request: ChangeRequest, fingerprint: str) -> str:
    """Return the generation of an anchor, whichever record knows it, or its beginning."""
    for stage in (request.old, request.new):
        if stage is not None and (name := stage.generation_of(fingerprint)) is not None:
            return name
    recorded = request.recorded.domain.generations if request.recorded else {}
    return recorded.get(fingerprint) or f"sha256:{fingerprint[:16]}"


def _whose(request: ChangeRequest, fingerprint: str) -> str:
    partners = request.recorded.domain.partners if request.recorded else {}
    names = [name for name, key in partners.items() if key == fingerprint]
    return f"the root of partner {names[0]}" if names else "a root of somebody else"


def _on_purpose(request: ChangeRequest, fingerprint: str) -> bool:
    """Whether either stage says that the anchor is compromised."""
    for stage in (request.old, request.new):
        generation = stage.generation_of(fingerprint) if stage else None
        if stage and generation and stage.role(generation) is Role.COMPROMISED:
            return True
    return False
