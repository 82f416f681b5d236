"""What a compromised anchor waives: what has to do with the stolen key, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from mtls_pki.rotation.domain import RecordedDomain
from mtls_pki.rotation.evidence import ClusterUnreachable
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import Acknowledgement
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.rotation.cases import (
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
from tests.unit.rotation.test_domain import DOMAIN

ADDED = stage(g1="issuing", g2="incoming")
STOLEN = stage(g1="compromised", g2="issuing")
ACKNOWLEDGED = {"g1": Acknowledgement(fingerprint=fingerprint("g1"), accept_outage=True)}


def compromise(old: TrustStage | None, new: TrustStage, **more: object) -> ChangeRequest:
    return request(old, new, acknowledgements=ACKNOWLEDGED, **more)


def up(change: ChangeRequest, *clusters: object) -> Verdict:
    return judge(change, evidence(*clusters), now=NOW, mode=Mode.UP)  # type: ignore[arg-type]


def rules_of(verdict: Verdict) -> list[str]:
    return [refusal.rule.identifier for refusal in verdict.refusals]


def test_the_anchor_that_takes_over_does_not_wait() -> None:
    there = cluster(bundles=[bundle("g1", "g2", changed_at=NOW)], gate=ADDED)
    assert up(compromise(ADDED, STOLEN), there).allowed


def test_a_canary_on_an_anchor_that_nobody_holds_waits_as_ever() -> None:
    """Another anchor was stolen, and a service is moved to one that has nothing to do with it."""
    old = stage(g0="outgoing", g1="issuing")
    new = TrustStage(
        anchors={**stage(g1="issuing", g2="incoming").anchors, **stage(g0="compromised").anchors},
        canaries={"monoskope/web": "g2"},
    )
    before = TrustStage(anchors={**old.anchors, **stage(g2="incoming").anchors})
    named = {"g0": Acknowledgement(fingerprint=fingerprint("g0"), accept_outage=True)}
    there = cluster(bundles=[bundle("g0", "g1")], leaves=[leaf("web", "g1")], gate=before)
    verdict = up(request(before, new, acknowledgements=named), there)
    assert rules_of(verdict) == ["bundles-hold-anchor"]


def test_a_cluster_that_joins_later_is_judged_as_ever() -> None:
    """The compromise is history: every record says it, and no bundle holds the key."""
    places = [place("dev"), place("eu")]
    there = cluster("dev", bundles=[bundle("g2")], leaves=[leaf("a", "g2")], gate=STOLEN)
    away = ClusterUnreachable(cluster="eu", error="no route")
    joining = compromise(None, STOLEN, places=places)
    assert rules_of(up(joining, there, away)) == ["evidence-complete"]


def test_a_lost_record_excuses_nothing() -> None:
    there = cluster(bundles=[bundle("g2", changed_at=NOW)], leaves=[leaf("a", "g3")])
    verdict = up(compromise(None, stage(g1="compromised", g2="issuing")), there)
    assert "bundles-hold-anchor" in rules_of(verdict)


def test_a_cluster_that_cannot_be_read_does_not_keep_the_stolen_key_trusted_elsewhere() -> None:
    places = [place("dev"), place("eu")]
    there = cluster("dev", bundles=[bundle("g1", "g2")], gate=ADDED)
    away = ClusterUnreachable(cluster="eu", error="no route")
    assert up(compromise(ADDED, STOLEN, places=places), there, away).allowed


def test_a_stolen_key_is_never_trusted_again_under_another_name() -> None:
    recorded = RecordedDomain(
        domain=replace(DOMAIN, distrusted=frozenset({fingerprint("g1")})), since=NOW
    )
    steady = stage(g2="issuing")
    there = cluster(bundles=[bundle("g2")], gate=steady)
    renamed = TrustStage(
        anchors={
            **steady.anchors,
            "g9": replace(stage(g1="incoming").anchors["g1"]),
        }
    )
    verdict = up(request(steady, renamed, recorded=recorded), there)
    assert rules_of(verdict) == ["stays-compromised"]
    partner = replace(DOMAIN, partners={"acme": fingerprint("g1")})
    verdict = up(request(steady, steady, recorded=recorded, domain=partner), there)
    assert rules_of(verdict) == ["stays-compromised"]
    assert "trust.partners.acme" in verdict.refusals[0].seen[0]


def test_the_root_of_a_partner_leaves_when_no_live_leaf_needs_it() -> None:
    recorded = RecordedDomain(domain=DOMAIN, since=NOW)
    without = replace(DOMAIN, partners={}, clusters={"dev": "uid-1"})
    steady = stage(g1="issuing")
    there = cluster(bundles=[bundle("g1", "acme")], leaves=[leaf("theirs", "acme")], gate=steady)
    kept = replace(without, partners={"acme": fingerprint("acme")})
    change = request(
        steady, steady, recorded=recorded, domain=kept, abandon=frozenset({"cluster/eu"})
    )
    assert up(change, there).allowed
    verdict = up(replace(change, domain=without), there)
    assert rules_of(verdict) == ["no-leaf-chains-to-anchor"]
    assert "the root of partner acme" in verdict.refusals[0].seen[0]
    gone = cluster(bundles=[bundle("g1", "acme")], leaves=[leaf("a", "g1")], gate=steady)
    assert up(replace(change, domain=without), gone).allowed


def test_a_rotation_goes_on_beside_the_root_of_a_partner() -> None:
    steady, added = stage(g1="issuing"), ADDED
    domain = replace(DOMAIN, clusters={"dev": "uid-1"})
    recorded = RecordedDomain(domain=domain, since=NOW)
    there = cluster(bundles=[bundle("g1", "acme")], leaves=[leaf("theirs", "acme")], gate=steady)
    assert up(request(steady, added, recorded=recorded, domain=domain), there).allowed


def test_an_anchor_of_an_interrupted_retirement_is_called_by_its_name() -> None:
    """Its record is gone, and bundles and leaves still have it."""
    recorded = RecordedDomain(
        domain=replace(DOMAIN, clusters={"dev": "uid-1"}, partners={}), since=NOW
    )
    done = stage(g2="issuing")
    there = cluster(bundles=[bundle("g1", "g2")], leaves=[leaf("late", "g1")], gate=done)
    change = request(done, done, recorded=recorded, domain=recorded.domain)
    (refusal,) = up(change, there).refusals
    assert refusal.generation == "g1"
    assert refusal.seen[0].startswith("g1 (sha256:")
