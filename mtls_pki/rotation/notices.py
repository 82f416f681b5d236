"""What a person must know although the change does not fail because of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mtls_pki.rotation.clocks import skew_notices
from mtls_pki.rotation.evidence import (
    BundleObservation,
    Evidence,
    LeafObservation,
    SessionObservation,
)
from mtls_pki.rotation.guards.abandon import abandoned
from mtls_pki.rotation.guards.chains import broken_now
from mtls_pki.rotation.guards.laggards import of_session
from mtls_pki.rotation.guards.leaving import ended, leaving
from mtls_pki.rotation.guards.observed import (
    bundle_name,
    is_fresh_domain,
    known_bundles,
    unread_clusters,
)
from mtls_pki.rotation.guards.ownership import ownership_notices
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Notice
from mtls_pki.rotation.text import instant

ANCHOR_WARNING = timedelta(days=182)
"""An anchor whose end is nearer is announced (`vault pki health-check`: critical for a root)."""

ISSUING_CA_WARNING = timedelta(days=30)
"""An issuing CA whose end is nearer is announced (the same check: critical for an issuing CA)."""


_RESTORE = "; `pulumi up --refresh` writes what the configuration says"


def notices(request: ChangeRequest, evidence: Evidence, now: datetime) -> tuple[Notice, ...]:
    """Return every notice, the most urgent first."""
    return (
        *_unread(request, evidence),
        *skew_notices(evidence),
        *_anchor_dates(request, now),
        *_ended_but_used(request, evidence, now),
        *abandoned(request, evidence, now),
        *_broken_chains(evidence, now),
        *_bundle_contents(request, evidence, now),
        *_leaves(request, evidence, now),
        *_issuers(evidence),
        *_failed_issuances(evidence),
        *_gates(request, evidence),
        *_remarks(evidence),
        *_sessions(request, evidence),
        *_canaries(request),
        *ownership_notices(request, evidence),
    )


def who_breaks(request: ChangeRequest, evidence: Evidence, now: datetime) -> tuple[Notice, ...]:
    """Return who loses connections when this change distrusts an anchor at once.

    Two groups: workloads whose leaf chains to it, until they have a new leaf; and verifiers whose
    bundle does not hold an anchor that starts to issue, until they have the new bundle. The second
    group comes from the guard that the change skips.
    """
    found = []
    for generation in request.new.in_role(Role.COMPROMISED):
        fingerprint = request.new.anchors[generation].fingerprint
        if fingerprint is None or (request.old and request.old.role(generation) is None):
            continue
        if request.old and request.old.role(generation) is Role.COMPROMISED:
            continue
        hit = [x for x in evidence.leaves if x.live(now) and fingerprint in x.signers]
        found.append(
            Notice(
                identifier="compromise-outage",
                message=f"{generation} (sha256:{fingerprint}) is distrusted at once: "
                f"{len(hit)} live leaves chain to it, and whoever presents one is refused until "
                "it is reissued and loaded",
                laggards=tuple(
                    _leaf(leaf, f"breaks until it is reissued, issuer {leaf.issuer}")
                    for leaf in hit
                ),
            )
        )
        found += _open(
            generation, fingerprint, evidence, "they stay open although their anchor is distrusted"
        )
    return tuple(found)


def _unread(request: ChangeRequest, evidence: Evidence) -> Iterator[Notice]:
    for cluster, error in unread_clusters(request, evidence):
        yield Notice(
            identifier="cluster-unreachable",
            message=f"cluster {cluster} could not be read, so nothing is known about it: {error}",
            laggards=(
                Laggard(cluster=cluster, namespace="", kind="cluster", name="", detail=error),
            ),
        )


def _anchor_dates(request: ChangeRequest, now: datetime) -> Iterator[Notice]:
    for generation in request.new.trusted:
        facts = request.facts.get(generation)
        if facts is None:
            continue
        role = request.new.anchors[generation].role
        yield from _end(
            "anchor",
            f"{role} anchor {generation}",
            facts.not_after,
            ANCHOR_WARNING,
            now,
            "start a rotation: add a new generation as incoming"
            if role is Role.ISSUING
            else "an outgoing anchor may be removed; renew an incoming one before you promote it",
        )
        if generation in request.new.issuing_generations and facts.issuing_ca_not_after:
            yield from _end(
                "issuing-ca",
                f"the issuing CA of {generation}",
                facts.issuing_ca_not_after,
                ISSUING_CA_WARNING,
                now,
                "rotate the issuing CA: give it a new generation in the configuration",
            )


def _end(
    what: str, name: str, end: datetime, margin: timedelta, now: datetime, remedy: str
) -> Iterator[Notice]:
    if end <= now:
        yield Notice(
            identifier=f"{what}-expired",
            message=f"{name} ended at {instant(end)}; {remedy}",
        )
    elif end - now < margin:
        yield Notice(
            identifier=f"{what}-ends-soon",
            message=f"{name} ends at {instant(end)}, in {(end - now).days} days "
            f"(warned below {margin.days}); {remedy}",
        )


def _ended_but_used(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Notice]:
    for fingerprint in sorted(leaving(request, evidence)):
        if not ended(request, evidence, fingerprint, now):
            continue
        hit = [x for x in evidence.leaves if x.live(now) and fingerprint in x.signers]
        if hit:
            yield Notice(
                identifier="leaves-of-expired-anchor",
                message=f"{len(hit)} leaves still chain to sha256:{fingerprint}, which has "
                "ended; it may leave, as verifiers that check its dates refuse them already",
                laggards=tuple(_leaf(leaf, f"issuer {leaf.issuer}") for leaf in hit),
            )


def _broken_chains(evidence: Evidence, now: datetime) -> Iterator[Notice]:
    for broken in broken_now(evidence, now):
        yield Notice(
            identifier="chain-broken",
            message=f"{broken.count} live leaves do not verify under {broken.bundle}: "
            f"{broken.reason}",
            laggards=(_leaf(broken.leaf, broken.reason),),
        )


def _bundle_contents(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Notice]:
    if is_fresh_domain(request, evidence):
        return
    stage = request.old or request.new
    expected = {stage.anchors[g].fingerprint: g for g in stage.trusted}
    # While an update is under way, an anchor of the earlier or of the next stage is no stranger.
    known = {a.fingerprint for s in (stage, request.new) for a in s.anchors.values()}
    known |= {a.fingerprint for g in evidence.gates if g.stage for a in g.stage.anchors.values()}
    for bundle in known_bundles(request, evidence):
        lacking = [
            g
            for fingerprint, g in expected.items()
            if not bundle.holds(fingerprint, now) and not _ended(request, g, now)
        ]
        if bundle.problem is not None:
            yield _about(
                bundle,
                "bundle-problem",
                f"{bundle.problem} {bundle.detail}".strip() + _remedy(bundle),
            )
        elif lacking:
            yield _about(
                bundle,
                "bundle-lacks-anchor",
                f"does not hold {', '.join(lacking)}, which the recorded stage trusts: "
                "it was edited by hand, or an update did not finish" + _remedy(bundle),
            )
        for member in bundle.members:
            if not member.self_signed:
                yield _about(
                    bundle,
                    "bundle-holds-intermediate",
                    f"holds {member.subject} (sha256:{member.fingerprint}), which is no root"
                    + _remedy(bundle),
                )
            elif member.fingerprint not in known:
                yield _about(
                    bundle,
                    "bundle-holds-foreign-root",
                    f"holds {member.subject} (sha256:{member.fingerprint}), "
                    "which is no anchor of this domain" + _remedy(bundle),
                )


def _leaves(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Notice]:
    live = [leaf for leaf in evidence.leaves if leaf.live(now)]
    ends = {
        request.new.anchors[generation].fingerprint: facts.not_after
        for generation, facts in request.facts.items()
        if generation in request.new.anchors
    }
    outliving = []
    for leaf in live:
        limits = [ends[signer] for signer in leaf.signers if signer in ends]
        if leaf.issuing_ca_not_after is not None:
            limits.append(leaf.issuing_ca_not_after)
        if leaf.not_after and limits and min(limits) < leaf.not_after:
            detail = f"ends {instant(leaf.not_after)}, its issuer at {instant(min(limits))}"
            outliving.append(_leaf(leaf, detail))
    if outliving:
        yield Notice(
            identifier="leaf-outlives-issuer",
            message=f"{len(outliving)} leaves end after their issuer and stop working with it; "
            "shorten their duration or renew the issuer",
            laggards=tuple(outliving),
        )
    unknown = tuple(_leaf(leaf, leaf.problem) for leaf in live if leaf.problem)
    if unknown:
        yield Notice(
            identifier="leaf-signer-unknown",
            message=f"the signer of {len(unknown)} leaves is not known; until it is, no anchor can "
            "be removed",
            laggards=unknown,
        )


def _issuers(evidence: Evidence) -> Iterator[Notice]:
    for issuer in evidence.issuers:
        if not issuer.ready:
            yield Notice(
                identifier="issuer-not-ready",
                message=f"{issuer.kind} {issuer.name} in {issuer.cluster} is not ready: "
                f"{issuer.reason}: {issuer.message}",
                laggards=(
                    Laggard(
                        cluster=issuer.cluster,
                        namespace=issuer.namespace or "",
                        kind=issuer.kind,
                        name=issuer.name,
                        detail=issuer.reason,
                    ),
                ),
            )


def _failed_issuances(evidence: Evidence) -> Iterator[Notice]:
    failed = [use for use in evidence.uses if use.failure is not None]
    if failed:
        yield Notice(
            identifier="issuance-failed",
            # Of issuers of others: see DeadRequest in clusters/reissue_candidates.
            message=f"{len(failed)} Certificates could not be issued, and cert-manager leaves each "
            "alone for an hour and longer, with an issuer that is not its own for ever; correct "
            "the cause, then `mtls-pki reissue --failed`",
            laggards=tuple(
                Laggard(
                    cluster=use.cluster,
                    namespace=use.namespace,
                    kind="Certificate",
                    name=use.name,
                    detail=f"{use.issuer}: {use.failure}"
                    + (f"; tried again at {instant(use.again_at)}" if use.again_at else ""),
                )
                for use in failed
            ),
        )


def _gates(request: ChangeRequest, evidence: Evidence) -> Iterator[Notice]:
    trusted = request.trusted_after
    for cluster in evidence.reachable:
        if cluster.gate is None and any(bundle.anchors & trusted for bundle in cluster.bundles):
            yield Notice(
                identifier="record-missing",
                message=f"{cluster.cluster} has a bundle of this domain and no stage record: it "
                "was deleted, or an update did not finish; `pulumi up --refresh` writes it",
            )
    for gate in evidence.gates:
        if gate.problem is not None:
            yield Notice(
                identifier="gate-problem",
                message=f"the stage record of {gate.cluster} cannot be read: {gate.problem}",
            )
        elif gate.stage not in (request.old, request.new):
            yield Notice(
                identifier="gate-differs",
                message=f"{gate.cluster} records another stage than the one that changes here; "
                "an update did not finish there: run `pulumi up` again",
            )


def _sessions(request: ChangeRequest, evidence: Evidence) -> Iterator[Notice]:
    """Connections under an anchor that is on its way out: distrust does not end them."""
    going = {
        generation: stage.anchors[generation].fingerprint
        for stage in (request.old, request.new)
        if stage is not None
        for generation in stage.in_role(Role.OUTGOING)
    }
    for generation, fingerprint in going.items():
        yield from _open(generation, fingerprint, evidence, "they stay open when it leaves")


def _open(
    generation: str, fingerprint: str | None, evidence: Evidence, why: str
) -> Iterator[Notice]:
    by_server: dict[str, list[SessionObservation]] = {}
    for session in evidence.sessions_under(fingerprint) if fingerprint else ():
        by_server.setdefault(session.server, []).append(session)
    for server, sessions in sorted(by_server.items()):
        times = [each.since for each in sessions if each.since is not None]
        since = f" since {instant(min(times))}" if times else ""
        number = f"{len(sessions)} session{'s' if len(sessions) > 1 else ''}"
        yield Notice(
            identifier="sessions-open",
            message=f"{number} of {server} under {generation}{since}; {why}: let the clients "
            "reconnect, or restart the server",
            laggards=tuple(of_session(each, f"connected to {server}") for each in sessions),
        )


def _remarks(evidence: Evidence) -> Iterator[Notice]:
    for cluster in evidence.reachable:
        for remark in cluster.remarks:
            yield Notice(identifier="remark", message=f"{cluster.cluster}: {remark}")


def _canaries(request: ChangeRequest) -> Iterator[Notice]:
    away = {s: g for s, g in request.new.canaries.items() if g != request.new.issuing}
    if away:
        named = ", ".join(f"{service} on {generation}" for service, generation in away.items())
        yield Notice(
            identifier="canary-pending",
            message=f"services that name an anchor of their own: {named}",
        )


def _remedy(bundle: BundleObservation) -> str:
    return f"; {bundle.hint}" if bundle.hint else _RESTORE


def _about(bundle: BundleObservation, identifier: str, detail: str) -> Notice:
    place = bundle.place
    laggard = Laggard(
        cluster=place.cluster,
        namespace=place.namespace,
        kind=place.kind,
        name=bundle_name(place),
        detail=detail,
        since=bundle.changed_at,
    )
    since = f" (changed {instant(bundle.changed_at)})" if bundle.changed_at else ""
    return Notice(
        identifier=identifier, message=f"{laggard.place} {detail}{since}", laggards=(laggard,)
    )


def _leaf(leaf: LeafObservation, detail: str | None) -> Laggard:
    return Laggard(
        cluster=leaf.cluster,
        namespace=leaf.namespace,
        kind=leaf.kind,
        name=leaf.name,
        detail=detail or "",
        since=leaf.in_place_since,
    )


def _ended(request: ChangeRequest, generation: str, now: datetime) -> bool:
    facts = request.facts.get(generation)
    return facts is not None and facts.not_after <= now
