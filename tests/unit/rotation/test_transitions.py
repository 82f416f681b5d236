"""Every pair of role assignments of up to three anchors, against the invariants in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from mtls_pki.rotation import rules
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.transitions import (
    REFUSED,
    TABLE,
    Acknowledgement,
    classify,
    next_stages,
    structural_refusals,
)
from tests.unit.rotation.cases import fingerprint, stage

GENERATIONS = ("g1", "g2", "g3")
Roles = Mapping[str, str | None]
ACKNOWLEDGED = {
    generation: Acknowledgement(fingerprint=fingerprint(generation), accept_outage=True)
    for generation in GENERATIONS
}


def assignments() -> Iterator[dict[str, str | None]]:
    for roles in product([None, *(role.value for role in Role)], repeat=len(GENERATIONS)):
        yield dict(zip(GENERATIONS, roles, strict=True))


def build(roles: Roles) -> TrustStage:
    return stage(**{generation: role for generation, role in roles.items() if role})


def lawful_stage(roles: Roles) -> bool:
    """One issuer; one rotation: nobody comes while another comes or goes."""
    values = list(roles.values())
    coming, going = values.count("incoming"), values.count("outgoing")
    return values.count("issuing") == 1 and (coming == 0 or (coming == 1 and going == 0))


def lawful_change(old: Roles, new: Roles) -> bool:
    """The order of a rotation (docs/rotation.md) as questions about trust and issuing.

    Written without the table: who is trusted before and after, who issues before and after.
    """

    def trusted(roles: Roles) -> set[str]:
        return {g for g, role in roles.items() if role not in (None, "compromised")}

    def issuer(roles: Roles) -> str:
        return next(g for g, role in roles.items() if role == "issuing")

    distrusted_before = {g for g, role in old.items() if role == "compromised"}
    distrusted_now = {g for g, role in new.items() if role == "compromised"} - distrusted_before
    joined = trusted(new) - trusted(old)
    left = trusted(old) - trusted(new) - distrusted_now
    if not lawful_stage(new):
        return False
    if trusted(new) & distrusted_before:
        return False  # once compromised, never trusted again
    if issuer(new) not in trusted(old):
        return False  # trust comes before issuing
    if issuer(old) in left:
        return False  # issuing ends before trust does
    moved_on = issuer(new) != issuer(old)
    # A label that changes without anybody joining, leaving or taking over is a skipped step.
    others = set(GENERATIONS) - {issuer(new), issuer(old)} - joined - left - distrusted_now
    if any(old[g] != new[g] for g in others if old[g] != "compromised"):
        return False
    if moved_on and issuer(old) not in distrusted_now:
        if old[issuer(new)] == "incoming" and new[issuer(old)] != "outgoing":
            return False  # forward leaves the old one outgoing; only a way back renames it
        if distrusted_now:
            return False  # two things at once
    return bool(joined) + bool(left) + (moved_on or bool(distrusted_now)) <= 1


@pytest.mark.parametrize("old", [each for each in assignments() if lawful_stage(each)], ids=str)
def test_every_change_of_a_lawful_stage_is_judged_as_the_invariants_say(old: Roles) -> None:
    for new in assignments():
        refusals = structural_refusals(build(old), build(new), acknowledgements=ACKNOWLEDGED)
        assert (not refusals) == lawful_change(old, new), (old, new, refusals)


def test_no_change_ever_ends_in_an_unlawful_stage() -> None:
    stages = list(assignments())
    for old in stages:
        for new in stages:
            if not lawful_stage(new):
                assert structural_refusals(build(old), build(new), acknowledgements=ACKNOWLEDGED)


def test_a_domain_may_begin_in_any_lawful_stage_and_in_no_other() -> None:
    for new in assignments():
        for nothing in (None, build({})):
            refusals = structural_refusals(nothing, build(new), acknowledgements=ACKNOWLEDGED)
            assert (not refusals) == lawful_stage(new), new


def test_every_transition_of_one_anchor_is_either_allowed_or_refused_with_a_remedy() -> None:
    every = set(product([None, *Role], repeat=2)) - {(None, None)}
    assert set(TABLE) | set(REFUSED) == every
    assert not set(TABLE) & set(REFUSED)


def test_each_forward_commit_can_be_reverted() -> None:
    steady, added = stage(g1="issuing"), stage(g1="issuing", g2="incoming")
    promoted, done = stage(g1="outgoing", g2="issuing"), stage(g2="issuing")
    for before, after in ((steady, added), (added, promoted), (promoted, done)):
        assert not structural_refusals(before, after)
        assert not structural_refusals(after, before)


ILLEGAL = [
    (stage(g1="issuing"), stage(g1="outgoing", g2="issuing"), rules.ADDED_AND_ISSUING, "incoming"),
    (stage(g1="issuing"), stage(), rules.LAST_ANCHOR, "keep the issuing anchor"),
    (stage(g1="issuing"), stage(g1="outgoing"), rules.ONE_ISSUING, "exactly one"),
    (
        stage(g1="issuing", g2="incoming"),
        stage(g2="issuing"),
        rules.SKIPPED_STEP,
        "this one outgoing first",
    ),
    (
        stage(g1="issuing", g2="incoming"),
        stage(g1="issuing", g2="outgoing"),
        rules.SKIPPED_STEP,
        "to abandon it, remove it",
    ),
    (
        stage(g1="outgoing", g2="issuing"),
        stage(g1="outgoing", g2="issuing", g3="incoming"),
        rules.ONE_ROTATION,
        "remove g1 before you add g3",
    ),
    (
        stage(g1="outgoing", g2="issuing"),
        stage(g2="issuing", g3="incoming"),
        rules.ONE_STEP,
        "an update of its own",
    ),
    (
        stage(g1="compromised", g2="issuing"),
        stage(g1="outgoing", g2="issuing"),
        rules.STAYS_COMPROMISED,
        "new generation",
    ),
    (
        stage(g1="issuing"),
        stage({"shop/cart": "g2"}, g1="issuing", g2="incoming"),
        rules.ADDED_AND_ISSUING,
        "in a later update",
    ),
    (
        stage(g1="issuing"),
        stage({"shop/cart": "g7"}, g1="issuing"),
        rules.CANARY_ANCHOR,
        "remove services.shop/cart.anchor",
    ),
]


@pytest.mark.parametrize(("old", "new", "rule", "remedy"), ILLEGAL)
def test_an_illegal_change_names_its_rule_and_the_way_out(
    old: TrustStage, new: TrustStage, rule: rules.Rule, remedy: str
) -> None:
    refusals = structural_refusals(old, new)
    assert rule in {refusal.rule for refusal in refusals}
    assert any(remedy in refusal.remedy for refusal in refusals if refusal.rule == rule)


def test_another_key_under_the_same_name_is_refused_also_before_it_exists() -> None:
    old = stage(g1="issuing")
    for fresh in (fingerprint("another"), None):
        new = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint=fresh)})
        (refusal,) = structural_refusals(old, new)
        assert refusal.rule == rules.SAME_NAME_OTHER_KEY
        assert fingerprint("g1") in refusal.seen[0]
        assert "never used" in refusal.remedy


def test_a_renewed_anchor_is_no_change_at_all() -> None:
    assert not structural_refusals(stage(g1="issuing"), stage(g1="issuing"))


def test_one_key_under_two_names_is_refused_in_one_stage_and_over_time() -> None:
    key = fingerprint("g1")
    twice = {
        "g1": Anchor(role=Role.ISSUING, fingerprint=key),
        "g2": Anchor(role=Role.INCOMING, fingerprint=key),
    }
    found = {r.rule for r in structural_refusals(stage(g1="issuing"), TrustStage(anchors=twice))}
    assert rules.ONE_NAME_PER_KEY in found
    renamed = TrustStage(anchors={"g9": Anchor(role=Role.ISSUING, fingerprint=key)})
    found = {r.rule for r in structural_refusals(stage(g1="issuing"), renamed)}
    assert rules.ONE_NAME_PER_KEY in found


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "not acknowledged"),
        ({"g1": Acknowledgement(fingerprint=None, accept_outage=True)}, "given is None"),
        ({"g1": Acknowledgement(fingerprint="00", accept_outage=True)}, "given is 00"),
        (
            {"g1": Acknowledgement(fingerprint=fingerprint("g1"), accept_outage=False)},
            "acceptOutage is not true",
        ),
    ],
)
def test_distrust_is_acknowledged_with_the_exact_fingerprint(
    given: dict[str, Acknowledgement], seen: str
) -> None:
    old, new = stage(g1="issuing", g2="incoming"), stage(g1="compromised", g2="issuing")
    (refusal,) = structural_refusals(old, new, acknowledgements=given)
    assert refusal.rule == rules.ACKNOWLEDGED
    assert seen in refusal.seen[0]
    assert fingerprint("g1") in refusal.remedy
    assert not structural_refusals(old, new, acknowledgements=ACKNOWLEDGED)


def test_what_stays_compromised_needs_no_second_acknowledgement() -> None:
    old = stage(g1="compromised", g2="issuing")
    assert not structural_refusals(old, old)
    assert not structural_refusals(old, stage(g2="issuing"))
    assert not structural_refusals(old, stage(g1="compromised", g2="issuing", g3="incoming"))


def test_classification_tells_what_happens_to_every_anchor_of_either_stage() -> None:
    changes = classify(stage(g1="outgoing", g2="issuing"), stage(g2="issuing"))
    assert [(c.generation, c.old, c.new, c.step) for c in changes] == [
        ("g2", "issuing", "issuing", "keep"),
        ("g1", "outgoing", None, "retire"),
    ]
    assert changes[1].fingerprint == fingerprint("g1")


def test_the_steps_that_a_stage_offers_are_lawful() -> None:
    for roles in assignments():
        if lawful_stage(roles):
            for _, after in next_stages(build(roles)):
                assert not structural_refusals(build(roles), after)
    assert [verb for verb, _ in next_stages(stage(g1="issuing", g2="incoming"))] == ["promote"]
    assert [verb for verb, _ in next_stages(stage(g1="outgoing", g2="issuing"))] == ["retire"]
    assert next_stages(stage(g1="issuing")) == ()
