"""Whether the chains that workloads present verify under the bundles that verifiers hold.

The key names an anchor, but a verifier judges certificates. So this guard knows no roles: it takes
each distinct chain, and each distinct bundle, and asks what a verifier does with the two, now and
after the change. There are few of both, however many leaves there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mtls_pki.pki.ca_facts import AuthorityKey, CaFacts
from mtls_pki.pki.leaf_facts import IssuingChain, LeafFacts
from mtls_pki.pki.path import Acceptance, Verification, verify_issuer, verify_leaf
from mtls_pki.rotation import rules
from mtls_pki.rotation.clocks import window
from mtls_pki.rotation.evidence import Evidence, LeafObservation
from mtls_pki.rotation.guards.distrust import distrusted_now
from mtls_pki.rotation.guards.laggards import of_leaf
from mtls_pki.rotation.guards.leaving import leaving
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Refusal

Roots = frozenset[CaFacts]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Leaves of one issuing CA that verifiers with some bundle do not accept.

    Attributes:
        leaf: one of them.
        count: how many they are.
        bundle: which bundle that is, in words.
        reason: what the verifier says.
    """

    leaf: LeafObservation
    count: int
    bundle: str
    reason: str


def chains_verify(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse what breaks a chain that verifies now, or starts one that would not verify."""
    if not request.roots:
        return []
    return [
        *_breaking(request, evidence, now),
        *_starting(request, evidence, now),
        *_renewals(request, evidence, now),
    ]


def broken_now(evidence: Evidence, now: datetime) -> tuple[Broken, ...]:
    """Return the chains of live leaves that some present bundle does not verify."""
    bundles = live_bundles(evidence)
    found: dict[tuple[str, str], list[LeafObservation]] = {}
    for leaf in _judged(evidence, now):
        for name, roots in bundles.items():
            answer = verify_leaf(_facts(leaf), roots, now)
            if not answer.everywhere:
                found.setdefault((name, answer.reason), []).append(leaf)
    return tuple(
        Broken(leaf=leaves[0], count=len(leaves), bundle=name, reason=reason)
        for (name, reason), leaves in found.items()
    )


def live_bundles(evidence: Evidence) -> dict[str, Roots]:
    """Return the distinct contents of all live bundles, each under the name of the first place."""
    found: dict[Roots, str] = {}
    for bundle in evidence.bundles:
        facts = [member.facts for member in bundle.members if member.facts is not None]
        if facts:
            place = bundle.place
            name = f"{place.cluster}/{place.namespace} {place.kind} {place.name}[{place.key}]"
            found.setdefault(frozenset(facts), name)
    return {name: roots for roots, name in found.items()}


def _held(evidence: Evidence) -> dict[str, Roots]:
    """What verifiers may hold: live bundles, and what was recorded for them.

    A bundle that somebody edited a moment ago is still mounted as it was.
    """
    found = live_bundles(evidence)
    for gate in evidence.gates:
        trusted = gate.stage.trusted_fingerprints if gate.stage is not None else frozenset()
        roots = frozenset(root for root in gate.roots if root.spki in trusted)
        if roots and roots not in found.values():
            found[f"the bundle that {gate.cluster} records"] = roots
    return found


def _verdict(leaf: LeafFacts, roots: Roots, evidence: Evidence, now: datetime) -> Verification:
    """What verifiers say of a leaf, by every clock that was read: the least of the answers."""
    answers = (verify_leaf(leaf, roots, at) for at in _instants(evidence, now))
    return min(answers, key=lambda answer: answer.acceptance)


def _instants(evidence: Evidence, now: datetime) -> tuple[datetime, ...]:
    return tuple(dict.fromkeys((now, *window(evidence))))


def _facts(leaf: LeafObservation) -> LeafFacts:
    if leaf.facts is None:
        raise ValueError(f"{leaf.name} has no chain that could be judged")
    return leaf.facts


def _judged(evidence: Evidence, now: datetime) -> Iterator[LeafObservation]:
    """The live leaves of the domain whose chain is known."""
    for leaf in evidence.leaves:
        if leaf.facts is not None and leaf.signers and leaf.live(now):
            yield leaf


def _breaking(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    """Refuse where a leaf verifies under a present bundle and would not under the next one.

    A leaf that hangs on nothing but anchors that leave is the business of another guard, which
    names it, and knows what is meant (``mtls_pki.rotation.guards.leaving``).
    """
    gone = leaving(request, evidence)
    after = request.roots_after
    with_distrusted = after | _distrusted_roots(request, evidence)
    held = _held(evidence)
    hit: dict[tuple[str, str], list[LeafObservation]] = {}
    for leaf in _judged(evidence, now):
        if leaf.signers <= gone:
            continue
        then = _verdict(_facts(leaf), after, evidence, now)
        meant = _verdict(_facts(leaf), with_distrusted, evidence, now)
        if Acceptance.EVERY in (then.acceptance, meant.acceptance):
            continue
        for name, roots in held.items():
            if then.worse_than(verify_leaf(_facts(leaf), roots, now)):
                hit.setdefault((name, then.reason), []).append(leaf)
                break
    for (name, reason), leaves in hit.items():
        yield _refusal(
            f"{len(leaves)} live leaves verify under {name} now, and would not after the change",
            reason,
            leaves,
            "renew a root or an issuing CA with the same subject, key, path length and "
            "constraints; for other ones add a new generation",
        )


def _distrusted_roots(request: ChangeRequest, evidence: Evidence) -> Roots:
    """Roots that leave as compromised: what breaks without them is meant to, and is said."""
    keys = {request.new.anchors[each].fingerprint for each in distrusted_now(request, evidence)}
    return frozenset(ca for ca in evidence.known_cas if ca.spki in keys and ca.self_signed)


def _starting(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    """Refuse a chain that leaves will present and that some bundle would not verify.

    A bundle that does not hold the anchor at all is the business of the guard that waits for it.
    """
    after = request.roots_after
    for generation, chain in _chains_after(request).items():
        root = request.roots[generation]
        holding = {
            name: roots
            for name, roots in live_bundles(evidence).items()
            if any(member.spki == root.spki for member in roots)
        }
        for name, roots in ({"the bundle of this change": after} | holding).items():
            answer = min(
                (verify_issuer(chain, roots, at).answer for at in _instants(evidence, now)),
                key=lambda each: each.acceptance,
            )
            if answer.everywhere or _outside_dates(request, generation, now):
                continue
            if _worse_than_now(evidence, generation, request, roots, answer, now):
                yield Refusal(
                    rule=rules.CHAINS_VERIFY,
                    generation=generation,
                    fingerprint=root.spki,
                    seen=(
                        f"leaves that {generation} is to sign would not verify under {name}: "
                        f"{answer.reason}",
                    ),
                    remedy=f"correct anchors.{generation} or issuing.intermediate, so that issuing "
                    "CA and root fit each other; a root that verifiers must judge differently is a "
                    "new generation",
                )
                break


def _outside_dates(request: ChangeRequest, generation: str, now: datetime) -> bool:
    """Whether the guard of the dates says it already."""
    certificates = (request.roots[generation], *request.issuing.get(generation, ()))
    return not all(certificate.valid_at(now) for certificate in certificates)


def _worse_than_now(
    evidence: Evidence,
    generation: str,
    request: ChangeRequest,
    roots: Roots,
    answer: Verification,
    now: datetime,
) -> bool:
    """Whether the leaves that the generation signed until now fare better under these roots.

    Without such leaves, every chain that does not verify is worse than none.
    """
    fingerprint = request.new.anchors[generation].fingerprint
    answers = [
        verify_leaf(_facts(leaf), roots, now)
        for leaf in _judged(evidence, now)
        if fingerprint in leaf.signers
    ]
    return not answers or any(answer.worse_than(each) for each in answers)


def _chains_after(request: ChangeRequest) -> Mapping[str, IssuingChain]:
    """What the leaves of each generation that issues will present."""
    found = {}
    for generation in request.new.issuing_generations:
        root = request.roots.get(generation)
        if root is None or generation not in request.issuing:
            continue
        presented = request.issuing[generation]
        signer = presented[0] if presented else root
        found[generation] = IssuingChain(
            presented=presented,
            issuer=signer.subject,
            authority_key=AuthorityKey(key_id=signer.subject_key_id),
            signer=signer.spki,
        )
    return found


def _renewals(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    """Refuse an issuing CA under which other teams' Certificates could not be renewed.

    Their names are theirs, so constraints that permit only the names of this stack break them at
    their next renewal, long after the change (RFC 5280, section 4.2.1.10).
    """
    if request.domain is None:
        return
    after = request.roots_after
    chains = _chains_after(request)
    hit: dict[str, list[LeafObservation]] = {}
    for leaf in _judged(evidence, now):
        chain = chains.get(request.domain.issuers.get(leaf.issuer, ""))
        if leaf.declared or chain is None or not verify_issuer(chain, after, now).answer.everywhere:
            continue
        renewed = verify_leaf(replace(_facts(leaf), chain=chain), after, now)
        if not renewed.everywhere and verify_leaf(_facts(leaf), after, now).everywhere:
            hit.setdefault(renewed.reason, []).append(leaf)
    for reason, leaves in hit.items():
        yield _refusal(
            f"{len(leaves)} Certificates that this stack does not declare could not be renewed",
            reason,
            leaves,
            "permit their names in issuing.intermediate.permittedDnsDomains, or move them to an "
            "issuer of their own first",
        )


def _refusal(seen: str, reason: str, leaves: list[LeafObservation], remedy: str) -> Refusal:
    return Refusal(
        rule=rules.CHAINS_VERIFY,
        seen=(seen, reason),
        laggards=tuple(
            of_leaf(leaf, detail=f"issuer {leaf.issuer}: {reason}", clears_at=leaf.not_after)
            for leaf in leaves
        ),
        remedy=remedy,
    )
