"""Whose objects a stack may write."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence
from mtls_pki.rotation.guards.ownership import one_owner, ownership_notices, unknown_record
from mtls_pki.rotation.owned_object import Claim, OwnedObject
from mtls_pki.rotation.report import refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.rules import Notice, Refusal
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import judge
from tests.unit.rotation.cases import (
    NOW,
    bundle,
    cluster,
    evidence,
    place,
    request,
    stage,
)

STAGE = stage(g1="issuing")
OWN = Claim(owner="mtls-pki/dev")
BUNDLE = OwnedObject(
    cluster="dev", namespace="monoskope", kind="ConfigMap", name="mesh-trust", owner=None
)
THEIRS = replace(BUNDLE, owner="mtls-pki/pay", trust_domain="pay.example.org")


def seen(
    *owned: OwnedObject,
    gate: TrustStage | None = STAGE,
    bundles: tuple[str, ...] = ("g1", "g9"),
    names: tuple[str, ...] = ("dev",),
    vouches: bool = True,
) -> Evidence:
    found = cluster(gate=gate, bundles=[bundle(*bundles, at=place())])
    recorded = found.gate and replace(
        found.gate, cluster_names=names, object_name="mesh-stage", vouches=vouches
    )
    return evidence(replace(found, owned=owned, gate=recorded))


def judged(claim: Claim, found: Evidence) -> list[Refusal]:
    return one_owner(request(STAGE, STAGE, claim=claim), found, NOW)


def told(claim: Claim, found: Evidence) -> list[Notice]:
    return list(ownership_notices(request(STAGE, STAGE, claim=claim), found))


def refused(claim: Claim, found: Evidence) -> list[str]:
    refusals = judged(claim, found)
    assert {refusal.rule for refusal in refusals} <= {rules.ONE_OWNER}
    return [refusal.remedy for refusal in refusals]


@pytest.mark.parametrize("gate", [STAGE, None])
@pytest.mark.parametrize("adopt", [frozenset[str](), frozenset({BUNDLE.entry})])
def test_an_object_of_another_stack_is_refused_and_whose_it_is_said(
    gate: TrustStage | None, adopt: frozenset[str]
) -> None:
    claim = replace(OWN, adopt=adopt)
    (refusal,) = judged(claim, seen(THEIRS, gate=gate))
    assert "mtls-pki/pay (trust domain pay.example.org)" in refusal.seen[0]
    assert [each.place for each in refusal.laggards] == ["dev/monoskope ConfigMap mesh-trust"]
    assert "issuing.name" in refusal.remedy


def test_an_object_of_this_stack_is_its_own_also_without_a_record() -> None:
    assert not refused(OWN, seen(replace(BUNDLE, owner="mtls-pki/dev"), gate=None))


def test_a_renamed_stack_keeps_what_it_owned_under_its_former_name() -> None:
    assert not refused(replace(OWN, former=frozenset({"mtls-pki/pay"})), seen(THEIRS))


def test_an_object_of_an_earlier_release_is_the_stacks_where_its_record_is() -> None:
    written = replace(BUNDLE, by_program=True)
    assert not refused(OWN, seen(written))
    assert refused(OWN, seen(written, gate=None))
    # It may be that of another stack, where both have a record.
    assert refused(OWN, seen(written, vouches=False))


def test_an_object_of_nobody_is_refused_with_the_entry_that_adopts_it() -> None:
    (remedy,) = refused(OWN, seen(BUNDLE))
    assert "adopt: [dev/monoskope/ConfigMap/mesh-trust]" in remedy
    assert not refused(replace(OWN, adopt=frozenset({BUNDLE.entry})), seen(BUNDLE))


def test_adoption_is_told_as_long_as_it_changes_something() -> None:
    claim = replace(OWN, adopt=frozenset({BUNDLE.entry}))
    (notice,) = told(claim, seen(BUNDLE))
    assert notice.identifier == "adopts"
    assert BUNDLE.entry in notice.message
    own = replace(BUNDLE, owner="mtls-pki/dev")
    assert told(claim, seen(own)) == []


@pytest.mark.parametrize(
    ("members", "loses"), [(("g1",), False), (("g1", "g9"), True), (("g9",), True)]
)
def test_a_bundle_of_nobody_may_be_written_where_it_trusts_nobody_else(
    members: tuple[str, ...], loses: bool
) -> None:
    assert bool(refused(OWN, seen(BUNDLE, bundles=members))) == loses


def test_a_secret_that_another_stacks_issuer_uses_is_that_stacks() -> None:
    claimed = OwnedObject(
        cluster="dev",
        namespace="cert-manager",
        kind="Secret",
        name="trust-ca",
        owner="mtls-pki/pay",
        through="dev/ClusterIssuer/pay-ca",
    )
    (refusal,) = judged(OWN, seen(claimed))
    assert "claimed by dev/ClusterIssuer/pay-ca" in refusal.laggards[0].detail


def test_a_cluster_that_takes_over_another_ones_name_is_refused() -> None:
    dev = seen(names=("dev", "lab")).reachable[0]
    other = ClusterEvidence(cluster="lab")
    (refusal,) = judged(OWN, evidence(dev, other))
    assert "called dev now was called lab" in refusal.seen[0]
    assert not judged(OWN, evidence(dev, replace(other, cluster="new")))


def test_a_renamed_cluster_is_told() -> None:
    (notice,) = told(OWN, seen(names=("lab", "old")))
    assert notice.identifier == "renames-cluster"
    assert "the cluster lab is called dev now" in notice.message


def test_a_record_that_does_not_tell_its_name_is_not_created_again() -> None:
    gate = replace(BUNDLE, namespace="cert-manager", name="mesh-stage", by_program=True)
    refusal = unknown_record(OWN, "dev", seen(gate, names=()))
    assert refusal is not None
    assert "clusters.dev.formerly" in refusal.remedy
    assert unknown_record(replace(OWN, adopt=frozenset({gate.entry})), "dev", seen(gate)) is None
    assert unknown_record(OWN, "dev", seen(gate, names=("dev",))) is None
    assert unknown_record(OWN, "other", seen(gate, names=())) is None


def test_the_verdict_refuses_also_where_no_stage_changes_and_in_previews() -> None:
    asked = request(STAGE, STAGE, claim=OWN)
    for mode in Mode:
        verdict = judge(asked, seen(THEIRS), now=NOW, mode=mode)
        assert verdict.exit_code is ExitStatus.BLOCKED
        assert "mtls-pki/pay" in refusal_message(verdict)


objects = st.builds(
    OwnedObject,
    cluster=st.just("dev"),
    namespace=st.sampled_from(["", "monoskope", "shop"]),
    kind=st.sampled_from(["ConfigMap", "Issuer", "Certificate", "Secret"]),
    name=st.sampled_from(["mesh-trust", "mtls-ca"]),
    owner=st.sampled_from([None, "mtls-pki/dev", "mtls-pki/old", "mtls-pki/pay", ""]),
    by_program=st.booleans(),
)


@given(
    st.lists(objects, max_size=6),
    st.booleans(),
    st.booleans(),
    st.sets(st.sampled_from(["a", "b"])),
)
def test_an_object_is_written_only_if_nobody_else_can_own_it(
    owned: list[OwnedObject], recorded: bool, vouches: bool, listed: set[str]
) -> None:
    claim = Claim(
        owner="mtls-pki/dev",
        former=frozenset({"mtls-pki/old"}),
        adopt=frozenset(each.entry for each, _ in zip(owned, listed, strict=False)),
    )
    found = seen(*owned, gate=STAGE if recorded else None, vouches=vouches)
    named = {laggard.place for refusal in judged(claim, found) for laggard in refusal.laggards}
    for each in owned:
        mine = each.owner in {"mtls-pki/dev", "mtls-pki/old"}
        nobodys = each.owner is None and (
            (each.by_program and recorded and vouches) or each.entry in claim.adopt
        )
        where = " ".join(filter(None, (f"dev/{each.namespace}".rstrip("/"), each.kind, each.name)))
        if not mine and not nobodys:
            assert where in named
