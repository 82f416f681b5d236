"""Whether roots and issuing CAs are valid at the dates that matter: now, and while leaves live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mtls_pki.rotation import rules
from mtls_pki.rotation.clocks import when_all, window
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.leaving import ended
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Refusal
from mtls_pki.rotation.text import instant


def within_dates(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    """Refuse a trusted root or an issuing CA outside of its dates, whatever is written.

    What starts to issue must be valid for as long as its first leaves: a CA issuer of cert-manager
    signs beyond the end of its CA, and every verifier refuses the leaf from that moment on.

    Verifiers judge the certificate that they hold and not only its key (RFC 5280, section 6.1.3
    (a) (2), and every implementation for the anchor as well).

    The way out stays open: a step of a rotation may leave a root alone that has ended in the
    clusters too. Its leaves are refused already, and whoever holds its key may be gone.
    """
    return [
        *_roots(request, evidence, now),
        *_issuing_cas(request, evidence, now),
        *_partners(request, evidence, now),
        *_outlived(request, evidence, now),
    ]


def _left_alone(request: ChangeRequest, evidence: Evidence, generation: str, now: datetime) -> bool:
    """Whether the anchor has ended everywhere, and this step of a rotation does not start it."""
    before = request.old
    if before is None or before == request.new or before.role(generation) is None:
        return False
    fingerprint = before.anchors[generation].fingerprint
    starts = (
        generation in request.new.issuing_generations
        and generation not in before.issuing_generations
    )
    return fingerprint is not None and not starts and ended(request, evidence, fingerprint, now)


def _roots(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    for generation in request.new.trusted:
        facts = request.facts.get(generation)
        if facts is None or _left_alone(request, evidence, generation, now):
            continue
        yield from _outside(
            request,
            evidence,
            generation,
            f"the root of {generation}",
            (facts.not_before, facts.not_after),
            now,
            f"renew it: the same key, another anchors.{generation}.validFrom and validFor; or "
            "remove it, if it does not issue",
        )


def _issuing_cas(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    for generation in request.new.issuing_generations:
        facts = request.facts.get(generation)
        if facts is None or facts.issuing_ca_not_after is None:
            continue
        if _left_alone(request, evidence, generation, now):
            continue
        yield from _outside(
            request,
            evidence,
            generation,
            f"the issuing CA of {generation}",
            (facts.issuing_ca_not_before or facts.not_before, facts.issuing_ca_not_after),
            now,
            "renew it: the same key, another validFrom and validFor",
        )


def _outlived(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    before = request.old.issuing_generations if request.old is not None else ()
    # Where the record was lost, live leaves tell who issues.
    signing = {signer for leaf in evidence.leaves if leaf.live(now) for signer in leaf.signers}
    lifetime = request.domain.longest_lifetime if request.domain is not None else timedelta(0)
    last = max(now, *window(evidence)) + lifetime
    for generation in request.new.issuing_generations:
        facts = request.facts.get(generation)
        fingerprint = request.new.anchors[generation].fingerprint
        if facts is None or generation in before or fingerprint in signing:
            continue
        what, end = f"the root of {generation}", facts.not_after
        if facts.issuing_ca_not_after is not None and facts.issuing_ca_not_after < end:
            what, end = f"the issuing CA of {generation}", facts.issuing_ca_not_after
        # One that has ended is told as that.
        if now < end < last:
            yield Refusal(
                rule=rules.WITHIN_DATES,
                generation=generation,
                fingerprint=fingerprint,
                seen=(
                    f"{what} ends at {instant(end)}, and a leaf that it signs now lives until "
                    f"{instant(last)}",
                ),
                remedy="renew it first: the same key, another validFrom and validFor; or let "
                "leaves live shorter (issuing.leaf.duration, services.NAME.duration)",
            )


def _partners(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Refusal]:
    for name, root in request.roots.items():
        if name.startswith("partner "):
            yield from _outside(
                request,
                evidence,
                None,
                f"the root of {name}",
                (root.not_before, root.not_after),
                now,
                f"remove trust.partners.{name.removeprefix('partner ')}, or give its new root",
            )


def _outside(
    request: ChangeRequest,
    evidence: Evidence,
    generation: str | None,
    what: str,
    dates: tuple[datetime, datetime],
    now: datetime,
    remedy: str,
) -> Iterator[Refusal]:
    begins, ends = dates
    earliest, latest = window(evidence)
    if begins <= min(now, earliest) and max(now, latest) < ends:
        return
    early = min(now, earliest) < begins
    yield Refusal(
        rule=rules.WITHIN_DATES,
        generation=generation,
        fingerprint=request.new.anchors[generation].fingerprint if generation else None,
        seen=(
            f"{what} is valid from {instant(begins)}, and it is {instant(min(now, earliest))}"
            if early
            else f"{what} ended at {instant(ends)}",
        ),
        remedy=f"wait until {instant(begins)}, or {remedy}" if early else remedy,
        earliest=when_all(begins, evidence) if early else None,
    )
