"""What evidence allows and refuses, and what each refusal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import (
    BundleMember,
    BundleObservation,
    BundleProblem,
    ClusterUnreachable,
    Evidence,
    IssuerObservation,
    IssuerUse,
)
from mtls_pki.rotation.report import refusal_message, verdict_text
from mtls_pki.rotation.request import AnchorFacts, ChangeRequest, Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.text import instant
from mtls_pki.rotation.transitions import Acknowledgement
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.rotation.cases import (
    DAY,
    HOLD_DOWN,
    NOW,
    bundle,
    cluster,
    evidence,
    fingerprint,
    leaf,
    member,
    place,
    request,
    stage,
)

STEADY = stage(g1="issuing")
ADDED = stage(g1="issuing", g2="incoming")
PROMOTED = stage(g1="outgoing", g2="issuing")
DONE = stage(g2="issuing")


def up(asked: ChangeRequest, seen: Evidence) -> Verdict:
    return judge(asked, seen, now=NOW, mode=Mode.UP)


def broken_rules(verdict: Verdict) -> list[str]:
    return [refusal.rule.identifier for refusal in verdict.refusals]


def said(verdict: Verdict) -> set[str]:
    return {notice.identifier for notice in verdict.notices}


# Starting to issue


def test_promotion_is_allowed_when_every_bundle_has_held_the_anchor_for_the_hold_down() -> None:
    seen = evidence(
        cluster(
            bundles=[bundle("g1", "g2", changed_at=NOW - HOLD_DOWN)],
            leaves=[leaf("a", "g1")],
            gate=ADDED,
        )
    )
    verdict = up(request(ADDED, PROMOTED), seen)
    assert verdict.allowed
    assert verdict.exit_code is ExitStatus.DONE


def test_promotion_one_second_early_is_refused_and_says_when() -> None:
    changed = NOW - HOLD_DOWN + timedelta(seconds=1)
    seen = evidence(cluster(bundles=[bundle("g1", "g2", changed_at=changed)], gate=ADDED))
    verdict = up(request(ADDED, PROMOTED), seen)
    assert refusal_message(verdict) == (
        "refused: monoskope.cluster.local cannot make this change of trust (1 reason)\n"
        "change: g1: issuing -> outgoing, g2: incoming -> issuing\n"
        "\n"
        "1. An anchor starts to issue only when every trust bundle of the domain, in every "
        "cluster and namespace, holds it and has held it for the hold-down. "
        "[bundles-hold-anchor; docs/rotation.md#bundles-hold-anchor; RFC 5011, section 2.2]\n"
        f"   seen:     g2 (sha256:{fingerprint('g2')}) would start to issue\n"
        "             0 of 1 bundles have held it for 2m0s\n"
        "   laggards: dev/monoskope ConfigMap mesh-trust[ca.crt]: changed at "
        "2026-11-23T11:58:01Z, less than the hold-down ago (since 2026-11-23T11:58:01Z)\n"
        "   do:       keep g2 trusted but not issuing, apply, and wait for the hold-down; then "
        "make this change again\n"
        "   earliest: 2026-11-23T12:00:01Z"
    )
    assert verdict.exit_code is ExitStatus.BLOCKED


@pytest.mark.parametrize(
    ("observed", "detail", "computable"),
    [
        (bundle("g1"), "does not hold g2", True),
        (bundle("g1", "g2", changed_at=None), "recorded no time", False),
        (
            BundleObservation(
                place=place(), members=(), changed_at=NOW - DAY, problem=BundleProblem.EMPTY
            ),
            "is empty",
            True,
        ),
        (
            BundleObservation(
                place=place(),
                members=(),
                changed_at=NOW - DAY,
                problem=BundleProblem.UNPARSABLE,
                detail="ca.crt: block 1 is cut off",
            ),
            "cannot be parsed: ca.crt: block 1",
            True,
        ),
        (
            BundleObservation(
                place=place(),
                members=(member("g1"), member("g2", not_after=NOW)),
                changed_at=NOW - DAY,
            ),
            "only a certificate of g2 that verifiers judge differently",
            True,
        ),
        (
            BundleObservation(
                place=place(),
                members=(member("g1"), replace(member("g2"), self_signed=False)),
                changed_at=NOW - DAY,
            ),
            "does not hold g2",
            True,
        ),
        (None, "is missing", True),
    ],
)
def test_a_bundle_that_does_not_hold_the_anchor_is_a_laggard_with_its_reason(
    observed: BundleObservation | None, detail: str, computable: bool
) -> None:
    seen = evidence(cluster(bundles=[observed] if observed else [], gate=ADDED))
    (refusal,) = up(request(ADDED, PROMOTED), seen).refusals
    assert refusal.rule == rules.HELD_EVERYWHERE
    (laggard,) = refusal.laggards
    assert laggard.place == "dev/monoskope ConfigMap mesh-trust[ca.crt]"
    assert detail in laggard.detail
    assert refusal.earliest == (NOW + HOLD_DOWN if computable else None)


def test_a_lagging_cluster_refuses_the_promotion_of_both() -> None:
    seen = evidence(
        cluster("dev", bundles=[bundle("g1", "g2")], gate=ADDED),
        cluster("eu", bundles=[bundle("g1", at=place("eu"))], gate=ADDED),
    )
    asked = request(ADDED, PROMOTED, places=[place("dev"), place("eu")])
    (refusal,) = up(asked, seen).refusals
    assert [laggard.cluster for laggard in refusal.laggards] == ["eu"]
    assert "1 of 2 bundles" in refusal.seen[1]


def test_a_bundle_that_nobody_asks_for_counts_as_well() -> None:
    stray = bundle("g1", at=place(namespace="left-behind"))
    seen = evidence(cluster(bundles=[bundle("g1", "g2"), stray], gate=ADDED))
    (refusal,) = up(request(ADDED, PROMOTED), seen).refusals
    assert "delete it or add its namespace" in refusal.laggards[0].detail


def test_ten_laggards_are_named_and_the_rest_counted() -> None:
    places = [place(namespace=f"team-{number:02}") for number in range(13)]
    message = refusal_message(up(request(ADDED, PROMOTED, places=places), evidence(cluster())))
    assert "dev/team-09 ConfigMap" in message
    assert "dev/team-10" not in message
    assert "             3 more" in message.splitlines()


def test_a_canary_starts_to_issue_under_the_same_rule_as_a_promotion() -> None:
    canary = stage({"monoskope/gateway": "g2"}, g1="issuing", g2="incoming")
    young = evidence(cluster(bundles=[bundle("g1", "g2", changed_at=NOW)], gate=ADDED))
    (refusal,) = up(request(ADDED, canary), young).refusals
    assert refusal.rule == rules.HELD_EVERYWHERE
    assert "monoskope/gateway" in refusal.seen[0]
    old = evidence(cluster(bundles=[bundle("g1", "g2")], gate=ADDED))
    verdict = up(request(ADDED, canary), old)
    assert verdict.allowed
    assert "canary-pending" in said(verdict)


def test_going_back_is_checked_too_and_needs_the_old_anchor_in_every_bundle() -> None:
    back = request(PROMOTED, ADDED)
    held = evidence(cluster(bundles=[bundle("g1", "g2")], gate=PROMOTED, leaves=[leaf("a", "g2")]))
    assert up(back, held).allowed
    swapped = evidence(cluster(bundles=[bundle("g2")], gate=PROMOTED, leaves=[leaf("a", "g1")]))
    assert broken_rules(up(back, swapped)) == ["bundles-hold-anchor"]
    restored = evidence(cluster(bundles=[bundle("g1", "g2", changed_at=NOW)], gate=PROMOTED))
    assert up(back, restored).earliest == NOW + HOLD_DOWN


def test_a_rogue_leaf_of_the_new_anchor_does_not_make_it_an_issuing_one() -> None:
    seen = evidence(cluster(bundles=[bundle("g1")], gate=ADDED, leaves=[leaf("rogue", "g2")]))
    assert "bundles-hold-anchor" in broken_rules(up(request(ADDED, PROMOTED), seen))


@pytest.mark.parametrize(
    ("facts", "seen", "earliest"),
    [
        ({"not_after": NOW}, "the root of g2 ended at 2026-11-23T12:00:00Z", None),
        ({"not_before": NOW + DAY}, "the root of g2 is valid from 2026-11-24", NOW + DAY),
        ({"issuing_ca_not_after": NOW}, "the issuing CA of g2 ended", None),
        (
            {"issuing_ca_not_before": NOW + DAY, "issuing_ca_not_after": NOW + 365 * DAY},
            "the issuing CA of g2 is valid from 2026-11-24",
            NOW + DAY,
        ),
    ],
)
def test_an_anchor_outside_its_dates_never_starts_to_issue(
    facts: dict[str, object], seen: str, earliest: object
) -> None:
    asked = request(ADDED, PROMOTED)
    dates = {**asked.facts, "g2": replace(asked.facts["g2"], **facts)}  # type: ignore[arg-type]
    there = evidence(cluster(bundles=[bundle("g1", "g2")], gate=ADDED))
    (refusal,) = up(replace(asked, facts=dates), there).refusals
    assert refusal.rule == rules.WITHIN_DATES
    assert seen in refusal.seen[0]
    assert refusal.earliest == earliest


# Beginning and joining


def test_a_fresh_domain_begins_without_evidence_of_anything() -> None:
    assert up(request(None, STEADY), evidence(cluster())).allowed


def test_a_domain_with_a_bundle_of_another_root_is_not_fresh() -> None:
    seen = evidence(cluster(bundles=[bundle("g0")]))
    assert broken_rules(up(request(None, STEADY), seen)) == ["bundles-hold-anchor"]


def test_a_lost_gate_is_rebuilt_from_what_is_seen() -> None:
    seen = evidence(cluster(bundles=[bundle("g1")], leaves=[leaf("a", "g1")]))
    assert up(request(None, STEADY), seen).allowed
    # But it is no way round the hold-down.
    assert not up(request(None, PROMOTED), seen).allowed


def test_a_cluster_joins_a_running_domain_but_not_together_with_a_promotion() -> None:
    places = [place("dev"), place("eu")]
    seen = evidence(cluster("dev", bundles=[bundle("g1", "g2")], gate=ADDED), cluster("eu"))
    assert up(request(None, ADDED, places=places), seen).allowed
    assert up(request(ADDED, ADDED, places=places), seen).allowed
    for gate in (None, ADDED):
        (refusal,) = up(request(gate, PROMOTED, places=places), seen).refusals
        assert [laggard.cluster for laggard in refusal.laggards] == ["eu"]


# Leaving the bundles


def test_an_anchor_leaves_when_no_leaf_needs_it() -> None:
    seen = evidence(
        cluster(bundles=[bundle("g1", "g2")], leaves=[leaf("a", "g2")], gate=PROMOTED),
    )
    assert up(request(PROMOTED, DONE), seen).allowed


def test_a_rogue_leaf_blocks_removal_by_name() -> None:
    seen = evidence(
        cluster(
            bundles=[bundle("g1", "g2")],
            leaves=[leaf("a", "g2"), leaf("rogue", "g1", declared=False)],
            gate=PROMOTED,
        )
    )
    message = refusal_message(up(request(PROMOTED, DONE), seen))
    assert "dev/monoskope Certificate rogue: chains to g1, issuer ClusterIssuer/mtls-ca-g1, " in (
        message
    )
    assert "not declared by this stack" in message
    assert f"g1 (sha256:{fingerprint('g1')}) would leave the bundles; 1 of 1 hold it" in message
    assert "mtls-pki reissue" in message
    assert "earliest: 2026-11-23T12:02:00Z" in message


@pytest.mark.parametrize(
    "harmless",
    [
        leaf("expired", "g1", issued=NOW - 2 * DAY),
        leaf("dead-ca", "g1", issuing_ca_not_after=NOW),
        leaf("cross-signed", "g1", "g2"),
        leaf("foreign"),
    ],
)
def test_a_leaf_that_does_not_need_the_anchor_blocks_nothing(harmless: object) -> None:
    seen = evidence(
        cluster(bundles=[bundle("g1", "g2")], leaves=[harmless], gate=PROMOTED)  # type: ignore[list-item]
    )
    assert up(request(PROMOTED, DONE), seen).allowed


def test_a_leaf_of_unknown_signer_blocks_and_says_why() -> None:
    seen = evidence(
        cluster(
            bundles=[bundle("g1", "g2")],
            leaves=[leaf("odd", problem="tls.crt: block 1 is not base64")],
            gate=PROMOTED,
        )
    )
    verdict = up(request(PROMOTED, DONE), seen)
    (refusal,) = verdict.refusals
    assert "its signer is unknown, so it may be g1: tls.crt" in refusal.laggards[0].detail
    assert "leaf-signer-unknown" in said(verdict)


def test_a_leaf_that_just_moved_keeps_the_old_anchor_for_the_hold_down() -> None:
    fresh = leaf("a", "g2", issued=NOW - timedelta(seconds=30))
    gate_changed_at = NOW - timedelta(hours=1)
    seen = evidence(
        cluster(
            bundles=[bundle("g1", "g2")],
            leaves=[fresh],
            gate=PROMOTED,
            gate_changed_at=gate_changed_at,
        )
    )
    (refusal,) = up(request(PROMOTED, DONE), seen).refusals
    assert "may still serve" in refusal.laggards[0].detail
    assert refusal.earliest == NOW + timedelta(seconds=90)
    # The chain that a live handshake served has no such doubt.
    served = replace(fresh, kind="endpoint", predecessor=frozenset())
    seen = evidence(cluster(bundles=[bundle("g1", "g2")], leaves=[served], gate=PROMOTED))
    assert up(request(PROMOTED, DONE), seen).allowed


def test_ordinary_renewals_do_not_keep_an_anchor_for_ever() -> None:
    renewed = leaf("a", "g2", issued=NOW - timedelta(seconds=30), lifetime=DAY)
    seen = evidence(
        cluster(
            bundles=[bundle("g1", "g2")],
            leaves=[replace(renewed, issuer_since=NOW - 2 * DAY)],
            gate=PROMOTED,
            gate_changed_at=NOW - 2 * DAY,
        )
    )
    assert up(request(PROMOTED, DONE), seen).allowed


def test_abandoning_an_anchor_that_never_issued_ignores_renewals() -> None:
    added_at = NOW - timedelta(minutes=10)
    renewed = leaf("a", "g1", issued=NOW - timedelta(seconds=30))
    for bundle_changed_at, allowed in ((added_at + HOLD_DOWN, True), (added_at - DAY, False)):
        seen = evidence(
            cluster(
                bundles=[bundle("g1", "g2", changed_at=bundle_changed_at)],
                leaves=[renewed],
                gate=ADDED,
                gate_changed_at=added_at,
            )
        )
        assert up(request(ADDED, STEADY), seen).allowed is allowed


def test_a_root_added_by_hand_leaves_only_when_no_leaf_needs_it() -> None:
    def seen(*leaves: object) -> Evidence:
        return evidence(
            cluster(bundles=[bundle("g1", "g9")], leaves=leaves, gate=STEADY)  # type: ignore[arg-type]
        )

    verdict = up(request(STEADY, ADDED), seen())
    assert verdict.allowed
    assert "bundle-holds-foreign-root" in said(verdict)
    (refusal,) = up(request(STEADY, ADDED), seen(leaf("theirs", "g9", declared=False))).refusals
    assert refusal.fingerprint == fingerprint("g9")
    assert "no anchor of this stack" in refusal.remedy


def test_the_way_out_works_after_the_old_root_has_expired() -> None:
    over = BundleObservation(
        place=place(),
        members=(member("g1", not_after=NOW - DAY), member("g2")),
        changed_at=NOW - DAY,
    )
    stuck = leaf("stuck", "g1", lifetime=30 * DAY)
    ends = {"g1": NOW - DAY}
    promotion = up(
        request(ADDED, PROMOTED, ends=ends),
        evidence(cluster(bundles=[over], leaves=[stuck], gate=ADDED)),
    )
    assert promotion.allowed
    assert "anchor-expired" in said(promotion)
    removal = up(
        request(PROMOTED, DONE),
        evidence(cluster(bundles=[over], leaves=[stuck], gate=PROMOTED)),
    )
    assert removal.allowed
    assert "leaves-of-expired-anchor" in said(removal)


# Evidence that is missing


def test_an_unreachable_cluster_refuses_an_update_and_warns_in_a_preview() -> None:
    seen = evidence(
        cluster("dev", bundles=[bundle("g1", "g2")], gate=ADDED),
        ClusterUnreachable(cluster="eu", error="connection refused"),
    )
    asked = request(ADDED, PROMOTED, places=[place("dev"), place("eu")])
    verdict = up(asked, seen)
    assert broken_rules(verdict) == ["evidence-complete"]
    assert "cluster eu could not be read: connection refused" in refusal_message(verdict)
    assert "cannot be computed" in refusal_message(verdict)
    preview = judge(asked, seen, now=NOW, mode=Mode.PREVIEW)
    assert preview.allowed
    assert "cluster eu could not be read" in verdict_text(preview)
    assert verdict.exit_code == preview.exit_code == ExitStatus.EVIDENCE_MISSING


def test_a_cluster_that_was_not_even_tried_counts_as_unread() -> None:
    asked = request(ADDED, PROMOTED, places=[place("dev"), place("eu")])
    seen = evidence(cluster("dev", bundles=[bundle("g1", "g2")], gate=ADDED))
    assert broken_rules(up(asked, seen)) == ["evidence-complete"]


def test_what_is_seen_to_block_outranks_what_is_not_seen() -> None:
    asked = request(ADDED, PROMOTED, places=[place("dev"), place("eu")])
    verdict = up(asked, evidence(cluster("dev", bundles=[bundle("g1")], gate=ADDED)))
    assert verdict.exit_code is ExitStatus.BLOCKED


def test_whatever_is_written_needs_the_evidence_of_every_cluster() -> None:
    seen = evidence(ClusterUnreachable(cluster="dev", error="no route"))
    verdict = up(request(STEADY, STEADY), seen)
    assert broken_rules(verdict) == ["evidence-complete"]
    assert verdict.exit_code is ExitStatus.EVIDENCE_MISSING


# Compromise


def compromise(old: TrustStage, new: TrustStage) -> ChangeRequest:
    given = Acknowledgement(fingerprint=fingerprint("g1"), accept_outage=True)
    return request(old, new, acknowledgements={"g1": given})


def test_a_compromise_waits_for_nothing_and_lists_who_breaks() -> None:
    seen = evidence(
        cluster(bundles=[bundle("g1", "g2", changed_at=NOW)], leaves=[leaf("a", "g1")], gate=ADDED),
        ClusterUnreachable(cluster="eu", error="connection refused"),
    )
    verdict = up(compromise(ADDED, stage(g1="compromised", g2="issuing")), seen)
    assert verdict.allowed
    assert {"compromise-outage", "skipped-guard", "cluster-unreachable"} <= said(verdict)
    text = verdict_text(verdict)
    assert "1 live leaves chain to it" in text
    assert f"sha256:{fingerprint('g1')}" in text
    outage = next(n for n in verdict.notices if n.identifier == "compromise-outage")
    assert [laggard.place for laggard in outage.laggards] == ["dev/monoskope Certificate a"]


def test_a_compromise_does_not_excuse_an_expired_replacement() -> None:
    asked = replace(
        compromise(ADDED, stage(g1="compromised", g2="issuing")),
        facts={"g2": AnchorFacts(common_name="g2", not_before=NOW - 2 * DAY, not_after=NOW - DAY)},
    )
    seen = evidence(cluster(bundles=[bundle("g1", "g2")], gate=ADDED))
    assert broken_rules(up(asked, seen)) == ["within-dates"]


def test_after_a_crash_a_compromised_anchor_in_a_bundle_still_blocks_nothing() -> None:
    gone = stage(g1="compromised", g2="issuing")
    seen = evidence(cluster(bundles=[bundle("g1", "g2")], leaves=[leaf("a", "g1")], gate=gone))
    assert up(request(gone, gone), seen).allowed
    assert up(request(gone, DONE), seen).allowed


# What is said besides


def test_dates_that_come_near_are_announced() -> None:
    asked = request(STEADY, STEADY, ends={"g1": NOW + 181 * DAY})
    facts = {"g1": replace(asked.facts["g1"], issuing_ca_not_after=NOW + 29 * DAY)}
    verdict = up(
        replace(asked, facts=facts), evidence(cluster(bundles=[bundle("g1")], gate=STEADY))
    )
    assert {"anchor-ends-soon", "issuing-ca-ends-soon"} <= said(verdict)
    facts = {
        "g1": replace(
            asked.facts["g1"], not_after=NOW + 182 * DAY, issuing_ca_not_after=NOW + 30 * DAY
        )
    }
    verdict = up(
        replace(asked, facts=facts), evidence(cluster(bundles=[bundle("g1")], gate=STEADY))
    )
    assert said(verdict) == set()


def test_what_others_did_to_bundles_leaves_and_issuers_is_said() -> None:
    intermediate = BundleMember(
        fingerprint=fingerprint("i1"),
        subject="CN=issuing",
        not_after=NOW + DAY,
        self_signed=False,
    )
    swapped = BundleObservation(
        place=place(), members=(member("g9"), intermediate), changed_at=NOW - DAY
    )
    issuer = IssuerObservation(
        cluster="dev",
        namespace=None,
        name="mtls-ca-g1",
        kind="ClusterIssuer",
        ready=False,
        reason="ErrGetKeyPair",
        message="secret not found",
        generation="g1",
    )
    there = replace(
        cluster(
            bundles=[swapped],
            leaves=[leaf("long", "g1", issuing_ca_not_after=NOW + timedelta(hours=1))],
            gate=PROMOTED,
        ),
        issuers=(issuer,),
        uses=(
            IssuerUse(
                cluster="dev",
                namespace="shop",
                name="late",
                issuer="ClusterIssuer/mtls-ca-g1",
                declared=False,
                failure="AccessDeniedException",
                again_at=NOW,
            ),
        ),
    )
    verdict = up(request(STEADY, STEADY, places=[place(), place(namespace="b")]), evidence(there))
    (failed,) = (each for each in verdict.notices if each.identifier == "issuance-failed")
    assert "mtls-pki reissue --failed" in failed.message
    assert [each.detail for each in failed.laggards] == [
        "ClusterIssuer/mtls-ca-g1: AccessDeniedException; tried again at " + instant(NOW)
    ]
    assert said(verdict) == {
        "bundle-lacks-anchor",
        "bundle-holds-foreign-root",
        "bundle-holds-intermediate",
        "bundle-problem",
        "leaf-outlives-issuer",
        "issuer-not-ready",
        "issuance-failed",
        "gate-differs",
    }


def test_a_generation_that_another_cluster_records_with_another_key_is_refused() -> None:
    other = TrustStage(
        anchors={
            **STEADY.anchors,
            "g2": replace(ADDED.anchors["g2"], fingerprint=fingerprint("former g2")),
        }
    )
    seen = evidence(cluster("dev", bundles=[bundle("g1")], gate=STEADY), cluster("eu", gate=other))
    assert broken_rules(up(request(STEADY, ADDED), seen)) == ["generation-keeps-its-key"]
