"""The guards that live evidence decides: who starts to issue, and who leaves the bundles.

Both judge facts, not names of steps, so promotion, canary, rollback and abandoning are covered by
the same two questions:

* Which anchors issue after the change that did not issue before? (``held_everywhere``)
* Which anchors does some verifier trust now that it will not trust after? (``no_live_leaf``)

**Joining a running domain.** Where the configuration asks for a bundle and there is none, the same
update creates it with the whole trust set. That is safe as long as nothing starts to issue in that
update, so the missing bundle is not refused then. When something starts to issue, it is a laggard.
**Fresh domain.** With no gate, no bundle and no leaf anywhere there is no verifier to break.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mtls_pki.rotation import rules
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import (
    BundleObservation,
    BundlePlace,
    BundleProblem,
    Evidence,
    LeafObservation,
)
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Refusal
from mtls_pki.rotation.stage import TrustStage

ENDPOINT = "endpoint"
"""``LeafObservation.kind`` of a chain that was served to a live handshake."""


def instant(moment: datetime) -> str:
    """Return ``moment`` (aware UTC) as the configuration writes it: ``2026-11-01T00:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


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
        _recorded(request.old) is None
        and not evidence.gates
        and all(bundle.problem in absent for bundle in known_bundles(request, evidence))
        and not any(leaf.signers for leaf in evidence.leaves)
    )


def starting(request: ChangeRequest, evidence: Evidence, now: datetime) -> tuple[str, ...]:
    """Return the generations that issue after the change and did not issue before it.

    This cluster's gate records what issued before. For a cluster without a gate that joins a
    running domain, the other clusters' gates say it. Without any gate (it was lost), an anchor with
    live leaves counts as one that issued before.
    """
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if recorded := _recorded(request.old):
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
                earliest=_latest(laggards),
            )
        )
    return refusals


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
    if recorded := _recorded(request.old):
        stages.append(recorded)
    before = {fingerprint for stage in stages for fingerprint in stage.trusted_fingerprints}
    before |= {member.fingerprint for bundle in evidence.bundles for member in bundle.members}
    return frozenset(before - request.new.trusted_fingerprints)


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
        for other in request.new.trusted_fingerprints
        if other != fingerprint and not ended(request, evidence, other, now)
    }
    for leaf in evidence.leaves:
        if leaf.live(now) and fingerprint in leaf.signers and not leaf.signers & staying:
            yield leaf


def leaf_laggards(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, now: datetime
) -> Iterator[Laggard]:
    """Yield the leaves that keep the anchor from leaving: those that need it, those whose signer
    is unknown, and those that may have moved off it within the hold-down.

    Why leaves that may have moved: a workload serves its old leaf until kubelet has brought the new
    one. That takes as long as bringing a bundle, and a verifier may see the smaller bundle at once.
    """
    name = request.new.generation_of(fingerprint) or _former_name(request, fingerprint)
    soon = now + request.hold_down
    for leaf in leaves_needing(request, evidence, fingerprint, now):
        owner = "" if leaf.declared else ", not declared by this stack"
        end = f", ends {instant(leaf.not_after)}" if leaf.not_after else ""
        yield _of_leaf(
            leaf,
            detail=f"chains to {name}, issuer {leaf.issuer}{end}{owner}",
            clears_at=min(leaf.not_after, soon) if leaf.not_after else soon,
        )
    may_have_issued = _may_have_issued(request, evidence, fingerprint)
    applied = {gate.cluster: gate.changed_at for gate in evidence.gates}
    for leaf in evidence.leaves:
        if not leaf.live(now):
            continue
        if leaf.problem is not None:
            yield _of_leaf(
                leaf,
                detail=f"its signer is unknown, so it may be {name}: {leaf.problem}",
                clears_at=leaf.not_after,
            )
        elif may_have_issued and _just_moved(
            request, leaf, fingerprint, applied.get(leaf.cluster), now
        ):
            since = leaf.in_place_since or now
            yield _of_leaf(
                leaf,
                detail=f"was issued at {instant(since)}; its workload may still serve "
                f"the leaf before it until the hold-down has passed",
                clears_at=since + request.hold_down,
            )


def _just_moved(
    request: ChangeRequest,
    leaf: LeafObservation,
    fingerprint: str,
    stage_applied_at: datetime | None,
    now: datetime,
) -> bool:
    """Whether ``leaf`` is new enough to matter and its predecessor may chain to ``fingerprint``.

    A leaf only renewed if its predecessor was itself issued after the stage was last applied. Its
    predecessor was alive, so this is certain one lifetime after the stage was applied. Without this
    rule the renewals of a large fleet would keep an anchor from ever leaving.
    """
    since = leaf.in_place_since
    if leaf.kind == ENDPOINT or fingerprint in leaf.signers or not leaf.signers:
        return False
    if since is None or since + request.hold_down <= now:
        return False
    if stage_applied_at is None or leaf.not_before is None or leaf.not_after is None:
        return True
    return leaf.not_before - stage_applied_at < leaf.not_after - leaf.not_before


def _may_have_issued(request: ChangeRequest, evidence: Evidence, fingerprint: str) -> bool:
    """Whether a leaf of the anchor may have existed.

    No leaf can exist if nothing happened since the anchor was added: it is incoming, no service
    names it, no leaf chains to it, and every bundle that holds it was written after its cluster's
    stage was. After a withdrawn promotion the bundles are older than the stage.
    """
    stage = _recorded(request.old)
    generation = stage.generation_of(fingerprint) if stage else None
    if stage is None or generation is None or stage.role(generation) is not Role.INCOMING:
        return True
    if generation in stage.issuing_generations:
        return True
    if any(fingerprint in leaf.signers for leaf in evidence.leaves):
        return True
    applied = {gate.cluster: gate.changed_at for gate in evidence.gates}
    for bundle in evidence.bundles:
        if fingerprint not in bundle.anchors:
            continue
        written, stage_written = bundle.changed_at, applied.get(bundle.place.cluster)
        if written is None or stage_written is None or written < stage_written:
            return True
    return False


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
        return _of_bundle(bundle, detail=detail, clears_at=now + request.hold_down)
    if bundle.changed_at is None:
        return _of_bundle(
            bundle, detail="the server recorded no time of its last change", clears_at=None
        )
    clears_at = bundle.changed_at + request.hold_down
    if clears_at <= now:
        return None
    detail = f"changed at {instant(bundle.changed_at)}, less than the hold-down ago"
    return _of_bundle(bundle, detail=detail, clears_at=clears_at)


def _leaving_refusal(
    request: ChangeRequest, evidence: Evidence, fingerprint: str, laggards: tuple[Laggard, ...]
) -> Refusal:
    known = request.old is not None and request.old.generation_of(fingerprint) is not None
    generation = _former_name(request, fingerprint) if known else "a root of somebody else"
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
            "it is no anchor of this stack: move its leaves to an issuer of the issuing "
            "generation, or declare it as an outgoing anchor with its certificate"
        )
    return Refusal(
        rule=rules.NO_LIVE_LEAF,
        generation=generation if known else None,
        fingerprint=fingerprint,
        seen=seen,
        laggards=laggards,
        remedy=remedy,
        earliest=_latest(laggards),
    )


def _of_bundle(bundle: BundleObservation, *, detail: str, clears_at: datetime | None) -> Laggard:
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


def bundle_name(place: BundlePlace) -> str:
    """``mesh-trust[ca.crt]``: the object and the key in it."""
    return f"{place.name}[{place.key}]"


def _of_leaf(leaf: LeafObservation, *, detail: str, clears_at: datetime | None) -> Laggard:
    return Laggard(
        cluster=leaf.cluster,
        namespace=leaf.namespace,
        kind=leaf.kind,
        name=leaf.name,
        detail=detail,
        since=leaf.in_place_since,
        clears_at=clears_at,
    )


def _latest(laggards: tuple[Laggard, ...]) -> datetime | None:
    """When the last laggard can clear, None when one of them has no computable time."""
    times = [laggard.clears_at for laggard in laggards]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _recorded(stage: TrustStage | None) -> TrustStage | None:
    return stage if stage is not None and stage.anchors else None


def _former_name(request: ChangeRequest, fingerprint: str) -> str:
    known = request.old.generation_of(fingerprint) if request.old else None
    return known or request.new.generation_of(fingerprint) or f"sha256:{fingerprint[:16]}"


def _on_purpose(request: ChangeRequest, fingerprint: str) -> bool:
    """Whether either stage says that the anchor is compromised."""
    for stage in (request.old, request.new):
        generation = stage.generation_of(fingerprint) if stage else None
        if stage and generation and stage.role(generation) is Role.COMPROMISED:
            return True
    return False
