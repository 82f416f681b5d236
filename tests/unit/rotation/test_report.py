"""Positions, plans, and how they are told to people and machines."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mtls_pki.rotation.evidence import ClusterUnreachable, Evidence
from mtls_pki.rotation.plan import plan
from mtls_pki.rotation.position import Phase, locate
from mtls_pki.rotation.report import (
    REPORT_SCHEMA,
    plan_json,
    position_json,
    verdict_json,
    verdict_text,
)
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import judge
from tests.unit.rotation.cases import (
    HOLD_DOWN,
    NOW,
    bundle,
    cluster,
    evidence,
    fingerprint,
    leaf,
    place,
    request,
    stage,
)

STEADY = stage(g1="issuing")
ADDED = stage(g1="issuing", g2="incoming")
PROMOTED = stage(g1="outgoing", g2="issuing")
YOUNG = NOW - timedelta(seconds=30)


def seen(held: tuple[str, ...], *leaves: str, gate: TrustStage, young: bool = False) -> Evidence:
    found = bundle(*held, changed_at=YOUNG) if young else bundle(*held)
    return evidence(
        cluster(bundles=[found], leaves=[leaf(f"svc-{g}", g) for g in leaves], gate=gate)
    )


@pytest.mark.parametrize(
    ("now_in", "there", "phase"),
    [
        (STEADY, seen(("g1",), "g1", gate=STEADY), Phase.STEADY),
        (ADDED, seen(("g1", "g2"), "g1", gate=ADDED, young=True), Phase.SPREADING),
        (ADDED, seen(("g1",), "g1", gate=ADDED), Phase.SPREADING),
        (ADDED, seen(("g1", "g2"), "g1", gate=ADDED), Phase.SPREAD),
        (PROMOTED, seen(("g1", "g2"), "g1", "g2", gate=PROMOTED), Phase.MOVING),
        (PROMOTED, seen(("g1", "g2"), "g2", gate=PROMOTED), Phase.MOVED),
        (
            stage(g1="compromised", g2="issuing"),
            seen(("g2",), "g2", gate=PROMOTED),
            Phase.DISTRUSTING,
        ),
    ],
)
def test_the_position_follows_the_certificates(
    now_in: TrustStage, there: Evidence, phase: Phase
) -> None:
    assert locate(request(now_in, now_in), there, now=NOW).phase is phase


def test_a_position_counts_bundles_leaves_and_strangers() -> None:
    there = evidence(
        cluster(
            "dev",
            bundles=[bundle("g1", "g2", "g9"), bundle("g1", at=place(namespace="b"))],
            leaves=[
                leaf("a", "g1"),
                leaf("b", "g1"),
                leaf("c", "g2"),
                leaf("d"),
                leaf("e", problem="?"),
            ],
            gate=ADDED,
        ),
        ClusterUnreachable(cluster="eu", error="no route"),
    )
    found = locate(request(ADDED, ADDED), there, now=NOW)
    rows = {anchor.fingerprint: anchor for anchor in found.anchors}
    assert [anchor.generation for anchor in found.anchors] == ["g1", "g2", None]
    assert (rows[fingerprint("g1")].bundles, rows[fingerprint("g1")].leaves) == (2, 2)
    assert (rows[fingerprint("g2")].bundles, rows[fingerprint("g2")].of_bundles) == (1, 2)
    assert rows[fingerprint("g9")].role is None
    dev, eu = found.clusters
    assert (dev.unknown_leaves, dev.foreign_leaves) == (1, 1)
    assert eu.error == "no route"
    (step,) = found.steps
    assert (step.verb, step.generations, step.allowed) == ("promote", ("g2",), False)
    assert {laggard.cluster for laggard in step.laggards} == {"dev", "eu"}


def test_the_next_step_says_when() -> None:
    (step,) = locate(
        request(ADDED, ADDED), seen(("g1", "g2"), gate=ADDED, young=True), now=NOW
    ).steps
    assert step.earliest == YOUNG + HOLD_DOWN
    (step,) = locate(request(ADDED, ADDED), seen(("g1", "g2"), gate=ADDED), now=NOW).steps
    assert step.earliest == NOW


def test_a_plan_covers_a_whole_rotation_with_dates_that_only_grow() -> None:
    whole = plan(request(STEADY, STEADY), seen(("g1",), "g1", gate=STEADY), now=NOW)
    assert [(step.verb, step.title) for step in whole.steps] == [
        ("add", "Add g2 as incoming"),
        ("promote", "Make g2 issuing"),
        ("retire", "Remove g1"),
    ]
    assert [step.earliest for step in whole.steps] == [NOW, NOW + HOLD_DOWN, NOW + 2 * HOLD_DOWN]
    assert [step.ready for step in whole.steps] == [True, False, False]
    assert whole.steps[1].edit == (
        "anchors.g2.role: incoming -> issuing",
        "anchors.g1.role: issuing -> outgoing",
    )


def test_a_plan_in_the_middle_has_only_what_remains() -> None:
    spreading = plan(
        request(ADDED, ADDED), seen(("g1", "g2"), "g1", gate=ADDED, young=True), now=NOW
    )
    assert [step.verb for step in spreading.steps] == ["promote", "retire"]
    assert spreading.steps[1].earliest == YOUNG + 2 * HOLD_DOWN
    moving = plan(request(PROMOTED, PROMOTED), seen(("g1", "g2"), "g1", gate=PROMOTED), now=NOW)
    (step,) = moving.steps
    assert [laggard.name for laggard in step.laggards] == ["svc-g1"]
    assert not step.ready
    after = stage(g1="compromised", g2="issuing")
    (forget, *_) = plan(request(after, after), seen(("g2",), gate=after), now=NOW).steps
    assert (forget.verb, forget.ready) == ("forget", True)


def test_json_is_versioned_and_serialisable_and_lists_every_laggard() -> None:
    there = evidence(
        cluster(
            bundles=[bundle("g1", "g2")],
            leaves=[leaf(f"svc-{number}", "g1") for number in range(25)],
            gate=PROMOTED,
        )
    )
    verdict = judge(request(PROMOTED, stage(g2="issuing")), there, now=NOW, mode=Mode.UP)
    whole = plan(request(PROMOTED, PROMOTED), there, now=NOW)
    reports = [verdict_json(verdict), position_json(whole.position), plan_json(whole)]
    for report, kind in zip(reports, ("verdict", "position", "plan"), strict=True):
        assert (report["schema"], report["kind"]) == (REPORT_SCHEMA, kind)
        assert json.loads(json.dumps(report)) == report
    (refusal,) = reports[0]["refusals"]
    assert len(refusal["laggards"]) == 25
    assert reports[0]["exitCode"] == 3
    assert reports[0]["earliest"] == "2026-11-23T12:02:00Z"
    assert verdict_text(verdict).count("svc-") == 10


def test_a_safe_change_says_so() -> None:
    there = seen(("g1", "g2"), "g1", gate=ADDED)
    verdict = judge(request(ADDED, PROMOTED), there, now=NOW, mode=Mode.PREVIEW)
    assert verdict_text(verdict) == "safe: g1: issuing -> outgoing, g2: incoming -> issuing\n"
