"""Stages: what they say, and the record that the clusters keep."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import RECORD_SCHEMA, Anchor, StageError, TrustStage
from tests.unit.rotation.cases import fingerprint, stage


def test_only_a_compromised_anchor_is_not_trusted_and_only_the_issuing_one_issues() -> None:
    assert [role for role in Role if not role.trusted] == [Role.COMPROMISED]
    assert [role for role in Role if role.issues] == [Role.ISSUING]


def test_generations_are_in_natural_order() -> None:
    assert list(stage(g10="incoming", g2="issuing", g9="outgoing").anchors) == ["g2", "g9", "g10"]


def test_canaries_issue_from_trusted_anchors_only() -> None:
    canaries = {"shop/cart": "g2", "shop/pay": "g3", "shop/old": "g9"}
    found = stage(canaries, g1="issuing", g2="incoming", g3="compromised", g4="outgoing")
    assert found.issuing_generations == ("g1", "g2")
    assert found.canaries_on("g2") == ("shop/cart",)


def test_no_single_issuing_anchor_is_no_issuing_anchor() -> None:
    assert stage(g1="issuing").issuing == "g1"
    assert stage(g1="issuing", g2="issuing").issuing is None
    assert stage(g1="incoming").issuing is None


def test_an_anchor_without_a_key_has_no_record_yet() -> None:
    unborn = TrustStage(anchors={"g2": Anchor(role=Role.INCOMING, fingerprint=None)})
    assert unborn.trusted_fingerprints == frozenset()
    with pytest.raises(StageError, match=r"anchors\.g2: its key does not exist yet"):
        unborn.to_record()


ROLES = st.dictionaries(
    st.sampled_from(["g1", "g2", "g10", "blue"]), st.sampled_from([role.value for role in Role])
)


@given(roles=ROLES, canaries=st.dictionaries(st.text(), st.sampled_from(["g1", "g2"])))
def test_a_record_read_back_is_the_same_stage(
    roles: dict[str, str], canaries: dict[str, str]
) -> None:
    original = stage(canaries, **roles)
    copy = TrustStage.from_json(original.to_json(), origin="dev")
    assert copy == original
    assert hash(copy) == hash(original)
    assert copy.to_json() == original.to_json()


def test_equal_stages_have_equal_records_whatever_their_order() -> None:
    assert (
        stage(g2="incoming", g1="issuing").to_json() == stage(g1="issuing", g2="incoming").to_json()
    )


def record(**changes: object) -> str:
    return json.dumps({**stage(g1="issuing").to_record(), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "not JSON"),
        ("[]", "record is not a mapping"),
        (record(schema="mtls-pki/trust-stage/v9"), f"is not '{RECORD_SCHEMA}'"),
        (record(extra=1), r"unknown keys \['extra'\]"),
        (record(anchors={"g1": {"role": "issuing"}}), r"misses keys \['fingerprint'\]"),
        (record(anchors={"g1": {"role": "boss", "fingerprint": "a" * 64}}), r"anchors\.g1\.role"),
        (record(anchors={"g1": {"role": "issuing", "fingerprint": "AB"}}), "64 lowercase"),
        (record(anchors={"g1": {"role": "issuing", "fingerprint": None}}), "not a string"),
        (record(anchors={"G 1": {"role": "issuing", "fingerprint": "a" * 64}}), "name a generati"),
        (record(canaries={"shop/cart": 2}), r"canaries\.shop/cart"),
        (record(canaries=[]), "canaries is not a mapping"),
    ],
)
def test_a_record_that_is_not_ours_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(StageError, match=message) as refused:
        TrustStage.from_json(text, origin="dev/mesh ConfigMap gate")
    assert str(refused.value).startswith("dev/mesh ConfigMap gate: ")


def test_anchors_cannot_be_changed_in_place() -> None:
    with pytest.raises(TypeError):
        stage(g1="issuing").anchors["g2"] = Anchor(  # type: ignore[index]
            role=Role.INCOMING, fingerprint=fingerprint("g2")
        )
