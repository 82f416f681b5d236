"""Who leaves besides anchors: clusters, namespaces, forms of the bundle, and issuers.

Each is judged like an anchor that leaves: who still uses it? What is meant although somebody does
is named under ``abandon`` in the configuration, and so in the review.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from mtls_pki.rotation import rules
from mtls_pki.rotation.clocks import remaining, when
from mtls_pki.rotation.domain import BundleForm, Domain
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import BundleObservation, BundlePlace, Evidence
from mtls_pki.rotation.guards.laggards import latest, of_bundle, of_leaf
from mtls_pki.rotation.guards.observed import known_bundles
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Refusal
from mtls_pki.rotation.text import instant


def leaving_places(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse that a place or an issuer leaves which somebody still uses."""
    return [
        *_clusters(request),
        *_namespaces(request, evidence, now),
        *_forms(request, evidence),
        *_issuers(request, evidence),
        *_consumers(request),
        *_renamed_domain(request),
        *_together(request, evidence),
    ]


def _recorded(request: ChangeRequest) -> Domain | None:
    return request.recorded.domain if request.recorded is not None else None


def _left(request: ChangeRequest, of: Callable[[Domain], Iterable[str]], kind: str) -> list[str]:
    """Names of ``kind`` that are recorded, not configured any more, and not abandoned."""
    before = _recorded(request)
    if before is None or request.domain is None:
        return []
    gone = set(of(before)) - set(of(request.domain))
    return sorted(name for name in gone if f"{kind}/{name}" not in request.abandon)


def _clusters(request: ChangeRequest) -> Iterator[Refusal]:
    before = _recorded(request)
    if before is None or request.domain is None:
        return
    present = set(filter(None, request.domain.clusters.values()))
    for name in _left(request, lambda domain: domain.clusters, "cluster"):
        if before.clusters[name] in present:
            continue  # the same cluster under another name
        yield Refusal(
            rule=rules.PLACE_IN_USE,
            seen=(
                f"cluster {name} would leave the stack: its bundles, issuers and Certificates "
                "would be deleted, and nothing can be read of who uses them",
            ),
            laggards=(
                Laggard(
                    cluster=name,
                    namespace="",
                    kind="cluster",
                    name="",
                    detail="is recorded and not configured any more",
                ),
            ),
            remedy=f"put clusters.{name} back; if nothing in it takes part in the trust domain any "
            f"more, write abandon: [cluster/{name}]",
        )


def _namespaces(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    for name in _left(request, lambda domain: domain.namespaces, "namespace"):
        using = tuple(
            of_leaf(
                leaf,
                detail=f"lives in {name}, issuer {leaf.issuer}"
                + (f", ends {instant(leaf.not_after)}" if leaf.not_after else ""),
                clears_at=leaf.not_after,
            )
            for leaf in evidence.leaves
            if leaf.namespace == name and leaf.live(now) and (leaf.signers or leaf.problem)
        )
        if using:
            yield Refusal(
                rule=rules.PLACE_IN_USE,
                seen=(
                    f"namespace {name} would lose its trust bundle",
                    f"{len(using)} live leaves are in it, whose workloads verify their peers",
                ),
                laggards=using,
                remedy=f"put {name} back into trust.namespaces until its workloads are gone; if "
                f"they may break, write abandon: [namespace/{name}]",
                earliest=latest(using),
            )


def _forms(request: ChangeRequest, evidence: Evidence) -> Iterator[Refusal]:
    """Refuse that the bundle moves before old and new have been side by side for the hold-down."""
    before = _recorded(request)
    after = request.domain
    if after is None:
        return
    asked = {(form.name, form.key): form.via for form in after.bundles}
    for form in sorted(_former_forms(request, evidence)):
        via = asked.get((form.name, form.key))
        if via is not None and form.via in ("", via):
            continue
        if any(form.name == name for name, _ in asked) and (
            via is not None or form.via == "trust-manager"
        ):
            yield Refusal(
                rule=rules.MOVED_SIDE_BY_SIDE,
                seen=(f"the bundle {form} would become another form of the same ConfigMap",),
                # Never given up: the former writer removes what the new one has just written.
                remedy="give the new form another trust.name, and keep this one under "
                f"trust.formerly: {_entry(form)}",
            )
            continue
        if f"bundle/{form.name}" in request.abandon:
            continue
        staying = {
            (each.name, each.key)
            for each in after.bundles
            if before is None or each in before.bundles
        }
        laggards = tuple(_not_yet_there(request, evidence, staying))
        if staying and not laggards:
            continue
        yield Refusal(
            rule=rules.MOVED_SIDE_BY_SIDE,
            seen=(
                f"the bundle {form} would leave",
                "no other form of it has been there for "
                f"{format_duration(request.hold_down)} in every place",
            ),
            laggards=laggards,
            remedy=f"keep it under trust.formerly: {_entry(form)}, apply, let every workload mount "
            f"the other one, and remove it after the hold-down; or write abandon: "
            f"[bundle/{form.name}]",
            earliest=latest(laggards) if laggards else None,
        )


def _entry(form: BundleForm) -> str:
    via = f", via: {form.via}" if form.via == "trust-manager" else ""
    return f"[{{name: {form.name}, key: {form.key}{via}}}]"


def _former_forms(request: ChangeRequest, evidence: Evidence) -> set[BundleForm]:
    """What is recorded; and what lies in an asked namespace where no record says anything."""
    before = _recorded(request)
    if before is not None:
        return set(before.bundles)
    spaces = {(place.cluster, place.namespace) for place in request.places}
    return {
        BundleForm(name=bundle.place.name, key=bundle.place.key, via="")
        for bundle in evidence.bundles
        if bundle.place not in request.places
        and bundle.problem is None
        and (bundle.place.cluster, bundle.place.namespace) in spaces
    }


def _not_yet_there(
    request: ChangeRequest, evidence: Evidence, forms: set[tuple[str, str]]
) -> Iterator[Laggard]:
    """Yield the places of ``forms`` that have not been written for the hold-down."""
    for bundle in known_bundles(request, evidence):
        if (bundle.place.name, bundle.place.key) not in forms:
            continue
        problem = _problem(bundle, request.places)
        cluster, since = bundle.place.cluster, bundle.changed_at
        if problem is not None:
            yield of_bundle(bundle, detail=problem, clears_at=None)
        elif since is None or remaining(cluster, since + request.hold_down, evidence):
            yield of_bundle(
                bundle,
                detail="was written less than the hold-down ago",
                clears_at=when(cluster, since + request.hold_down, evidence) if since else None,
            )


def _problem(bundle: BundleObservation, asked: Iterable[BundlePlace]) -> str | None:
    if bundle.place not in asked:
        return None
    return None if bundle.problem is None else str(bundle.problem)


def _issuers(request: ChangeRequest, evidence: Evidence) -> Iterator[Refusal]:
    """Refuse that an issuer leaves which Certificates of others name: they could not renew."""
    before = _recorded(request)
    compromised = set(request.new.in_role(Role.COMPROMISED))
    for name in _left(request, lambda domain: domain.issuers, "issuer"):
        if before is not None and before.issuers[name] in compromised:
            continue
        using = tuple(
            Laggard(
                cluster=use.cluster,
                namespace=use.namespace,
                kind="Certificate",
                name=use.name,
                detail=f"names the issuer {name}",
            )
            for use in evidence.uses
            if use.issuer == name and not use.declared
        )
        if using:
            yield Refusal(
                rule=rules.ISSUER_IN_USE,
                seen=(f"the issuer {name} would leave; {len(using)} Certificates name it",),
                laggards=using,
                remedy="change their issuerRef to an issuer that stays; if their renewals may "
                f"fail, write abandon: [issuer/{name}]",
            )


def _consumers(request: ChangeRequest) -> Iterator[Refusal]:
    """Refuse that a consumer leaves: what it trusts and signs would go on, and nobody would see."""
    for name in _left(request, lambda domain: domain.consumers, "consumer"):
        consumer, _, cluster = name.partition("/")
        if request.domain is not None and cluster not in request.domain.clusters:
            continue  # it leaves with its cluster, which is judged above
        yield Refusal(
            rule=rules.PLACE_IN_USE,
            seen=(
                f"consumer {consumer} would leave the stack in cluster {cluster}: it keeps the "
                "authority that it has, nothing would move it to the next anchor, and what it "
                "signs would not be seen",
            ),
            laggards=(
                Laggard(
                    cluster=cluster,
                    namespace="",
                    kind="consumer",
                    name=consumer,
                    detail="is recorded and not configured any more",
                ),
            ),
            remedy=f"put consumers.{consumer} back; once it takes its authority from elsewhere, "
            f"write abandon: [consumer/{name}]",
        )


def _renamed_domain(request: ChangeRequest) -> Iterator[Refusal]:
    before = _recorded(request)
    if before is None or request.domain is None or "stack" in request.abandon:
        return
    if before.trust_domain != request.domain.trust_domain:
        yield Refusal(
            rule=rules.DOMAIN_KEEPS_ITS_NAME,
            seen=(
                f"trustDomain was {before.trust_domain!r} and would be "
                f"{request.domain.trust_domain!r}: every identity in the domain would change",
            ),
            remedy=f"write trustDomain: {before.trust_domain}; for another trust domain make "
            "another stack",
        )


def _together(request: ChangeRequest, evidence: Evidence) -> Iterator[Refusal]:
    """Refuse that a place leaves in the update that changes the stage: these are two steps."""
    before = _recorded(request)
    if before is None or request.domain is None or not _stage_changes(request, evidence):
        return
    if request.new.in_role(Role.COMPROMISED):
        return
    gone = [f"cluster {name}" for name in sorted({*before.clusters} - {*request.domain.clusters})]
    gone += [f"namespace {name}" for name in sorted(before.namespaces - request.domain.namespaces)]
    gone += [f"bundle {form}" for form in sorted(before.bundles - request.domain.bundles)]
    if gone:
        yield Refusal(
            rule=rules.ONE_STEP,
            seen=(f"the anchors change, and so does where trust goes: {', '.join(gone)}",),
            remedy="make each of these an update of its own",
        )


def _stage_changes(request: ChangeRequest, evidence: Evidence) -> bool:
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    return bool(stages) and any(stage != request.new for stage in stages)
