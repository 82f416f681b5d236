"""Clusters, namespaces, forms of the bundle and issuers that leave, and what may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mtls_pki.rotation.domain import BundleForm, Domain, RecordedDomain
from mtls_pki.rotation.evidence import Evidence, IssuerUse
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.rotation.cases import (
    DAY,
    HOLD_DOWN,
    NOW,
    bundle,
    cluster,
    evidence,
    leaf,
    place,
    request,
    stage,
)
from tests.unit.rotation.test_domain import DOMAIN, FORM

STEADY = stage(g1="issuing")
STABLE = "ClusterIssuer/mtls-ca"
BEFORE = replace(
    DOMAIN,
    clusters={"dev": "uid-1"},
    namespaces=frozenset({"monoskope", "shop"}),
    hold_down=HOLD_DOWN,
    issuers={**DOMAIN.issuers, STABLE: "g1"},
    consumers=frozenset({"istio/dev"}),
)
MOVED = BundleForm(name="other-trust", key="ca.crt", via="configmap")


def asked(
    after: Domain, *abandon: str, before: Domain | None = BEFORE, **changes: object
) -> ChangeRequest:
    recorded = None if before is None else RecordedDomain(domain=before, since=NOW - DAY)
    asked = request(STEADY, STEADY, recorded=recorded, domain=after, abandon=frozenset(abandon))
    return replace(asked, **changes)  # type: ignore[arg-type]


def seen(*, uses: tuple[IssuerUse, ...] = (), **more: object) -> Evidence:
    found = {
        "bundles": [bundle("g1")],
        "leaves": [replace(leaf("web", "g1"), namespace="shop")],
        "gate": STEADY,
        **more,
    }
    return evidence(replace(cluster(**found), uses=uses))  # type: ignore[arg-type]


def judged(change: ChangeRequest, there: Evidence | None = None) -> Verdict:
    return judge(change, there or seen(), now=NOW, mode=Mode.UP)


def rules_of(verdict: Verdict) -> list[str]:
    return [refusal.rule.identifier for refusal in verdict.refusals]


def notices_of(verdict: Verdict) -> set[str]:
    return {notice.identifier for notice in verdict.notices}


def use(issuer: str = STABLE, *, declared: bool = False) -> IssuerUse:
    return IssuerUse(cluster="dev", namespace="shop", name="team", issuer=issuer, declared=declared)


WITHOUT_SHOP = replace(BEFORE, namespaces=frozenset({"monoskope"}))
WITHOUT_STABLE = replace(BEFORE, issuers=DOMAIN.issuers)
LEAVING = {
    "cluster": (replace(BEFORE, clusters={"eu": "uid-2"}), "place-in-use", "cluster/dev"),
    "namespace": (WITHOUT_SHOP, "place-in-use", "namespace/shop"),
    "name": (
        replace(BEFORE, bundles=frozenset({MOVED})),
        "moved-side-by-side",
        "bundle/mesh-trust",
    ),
    "key": (
        replace(BEFORE, bundles=frozenset({replace(FORM, key="roots.pem")})),
        "moved-side-by-side",
        "bundle/mesh-trust",
    ),
    "issuer": (WITHOUT_STABLE, "issuer-in-use", f"issuer/{STABLE}"),
    "consumer": (
        replace(BEFORE, consumers=frozenset()),
        "place-in-use",
        "consumer/istio/dev",
    ),
}


@pytest.mark.parametrize("name", LEAVING)
def test_what_is_used_does_not_leave_unless_it_is_abandoned_by_its_name(name: str) -> None:
    after, rule, entry = LEAVING[name]
    there = seen(uses=(use(),))
    refused = judged(asked(after), there)
    assert rules_of(refused) == [rule]
    assert f"[{entry}]" in refused.refusals[0].remedy
    given_up = judged(asked(after, entry), there)
    assert given_up.allowed
    assert "abandoned" in notices_of(given_up)
    others = sorted({other for _, _, other in LEAVING.values()} - {entry})
    assert rules_of(judged(asked(after, *others), there)) == [rule]


def test_one_config_map_never_changes_its_writer() -> None:
    """The former one would remove what the new one has written."""
    after = replace(BEFORE, bundles=frozenset({replace(FORM, via="trust-manager")}))
    verdict = judged(asked(after, "bundle/mesh-trust"))
    assert rules_of(verdict) == ["moved-side-by-side"]
    assert "another trust.name" in verdict.refusals[0].remedy


def test_nothing_leaves_where_nothing_changes() -> None:
    verdict = judged(asked(BEFORE), seen(uses=(use(),)))
    assert verdict.allowed
    assert "abandoned" not in notices_of(verdict)


@pytest.mark.parametrize("entry", ["namespace/shop", "issuer/ClusterIssuer/mtls-ca", "cluster/dev"])
def test_an_entry_that_gives_up_nothing_is_said(entry: str) -> None:
    assert "abandon-unused" in notices_of(judged(asked(BEFORE, entry)))


def test_a_namespace_without_live_leaves_may_go() -> None:
    gone = replace(leaf("web", "g1", issued=NOW - 2 * DAY), namespace="shop")
    assert judged(asked(WITHOUT_SHOP), seen(leaves=[gone])).allowed
    foreign = replace(leaf("web"), namespace="shop")
    assert judged(asked(WITHOUT_SHOP), seen(leaves=[foreign])).allowed


def test_a_namespace_with_a_leaf_of_unknown_signer_stays() -> None:
    unknown = replace(leaf("web", problem="damaged"), namespace="shop")
    assert rules_of(judged(asked(WITHOUT_SHOP), seen(leaves=[unknown]))) == ["place-in-use"]


def test_a_renamed_cluster_does_not_leave() -> None:
    renamed = replace(BEFORE, clusters={"prod": "uid-1"})
    assert judged(asked(renamed, places=(place("dev"),))).allowed


def test_an_issuer_that_only_this_stack_names_may_go() -> None:
    assert judged(asked(WITHOUT_STABLE), seen(uses=(use(declared=True),))).allowed
    assert judged(asked(WITHOUT_STABLE), seen(uses=(use("Issuer/other"),))).allowed


def test_the_issuer_of_a_compromised_anchor_goes_although_it_is_named() -> None:
    stages = stage(g1="compromised", g2="issuing")
    change = replace(asked(WITHOUT_STABLE), old=stages, new=stages)
    there = seen(uses=(use(),), gate=stages, bundles=[bundle("g2")], leaves=[])
    assert "issuer-in-use" not in rules_of(judged(change, there))


def beside(age: timedelta) -> Evidence:
    """Old and new form side by side, the new one for ``age``."""
    new = replace(place(), name="other-trust")
    return seen(bundles=[bundle("g1"), bundle("g1", at=new, changed_at=NOW - age)])


@pytest.mark.parametrize(
    ("age", "allowed"), [(HOLD_DOWN, True), (HOLD_DOWN - timedelta(seconds=1), False)]
)
def test_a_bundle_has_moved_once_both_were_there_for_the_hold_down(
    age: timedelta, allowed: bool
) -> None:
    both = replace(BEFORE, bundles=frozenset({FORM, MOVED}))
    only_new = replace(BEFORE, bundles=frozenset({MOVED}))
    places = (replace(place(), name="other-trust"),)
    verdict = judged(asked(only_new, before=both, places=places), beside(age))
    assert verdict.allowed is allowed
    if not allowed:
        assert verdict.earliest == NOW + timedelta(seconds=1)


def test_both_forms_of_a_bundle_may_stand_side_by_side() -> None:
    both = replace(BEFORE, bundles=frozenset({FORM, MOVED}))
    places = (place(), replace(place(), name="other-trust"))
    assert judged(asked(both, places=places)).allowed


def test_a_place_does_not_leave_in_the_update_that_changes_the_stage() -> None:
    promoted = stage(g1="outgoing", g2="issuing")
    added = stage(g1="issuing", g2="incoming")
    change = replace(asked(WITHOUT_SHOP, "namespace/shop"), old=added, new=promoted)
    there = seen(bundles=[bundle("g1", "g2")], gate=added, leaves=[leaf("web", "g1")])
    assert rules_of(judged(change, there)) == ["one-step-per-update"]


def test_a_record_of_an_earlier_release_is_asked_by_what_lies_there() -> None:
    """It names no forms; a bundle under another name in an asked namespace tells of one."""
    moved_in_one = asked(
        replace(BEFORE, bundles=frozenset({MOVED})),
        before=None,
        places=(replace(place(), name="other-trust"),),
    )
    assert rules_of(judged(moved_in_one)) == ["moved-side-by-side"]


def test_a_trust_domain_keeps_its_name() -> None:
    other = replace(BEFORE, trust_domain="other.example.org")
    assert rules_of(judged(asked(other))) == ["domain-keeps-its-name"]
    assert judged(asked(other, "stack")).allowed
