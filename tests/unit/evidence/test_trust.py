"""What is trusted in one cluster: bundles, since when, and the stage record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mtls_pki.clusters.recorded import owned_since
from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.rotation.evidence import BundleObservation, BundleProblem, GateObservation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CONFIG_MAPS,
    REQUESTS,
    STAGE,
    bundle,
    chain,
    config_map,
    fingerprint,
    owned,
    request,
    root,
)
from tests.unit.pki.material import parsed

DATA = ("f:data", "f:ca.crt")
BY_TRUST_MANAGER = {"trust.cert-manager.io/bundle": "mesh-trust"}
TEAM_ISSUER = {"kind": "Issuer", "name": "team-ca"}


def at(hour: int) -> datetime:
    return datetime(2026, 11, 23, hour, tzinfo=UTC)


def bundles(stack: Stack) -> dict[str, BundleObservation]:
    (dev,) = (each for each in stack.read().reachable if each.cluster == "dev")
    return {each.place.namespace: each for each in dev.bundles}


class TestOwnedSince:
    def test_it_is_the_newest_time_of_those_that_own_the_field(self) -> None:
        managed = [
            owned("2026-11-23T09:00:00Z", *DATA, manager="first"),
            owned("2026-11-23T10:00:00Z", *DATA, manager="second"),
        ]
        assert owned_since({"managedFields": managed}, *DATA) == at(10)

    @pytest.mark.parametrize(
        "path",
        [("f:metadata", "f:labels"), ("f:data", "f:other.crt"), ("f:data",), ("f:binaryData",)],
    )
    def test_a_manager_that_does_not_own_the_field_says_nothing(self, path: tuple[str]) -> None:
        managed = [owned("2026-11-23T09:00:00Z", *DATA), owned("2026-11-23T11:00:00Z", *path)]
        assert owned_since({"managedFields": managed}, *DATA) == at(9)

    @pytest.mark.parametrize("metadata", [{}, {"managedFields": None}, {"managedFields": []}])
    def test_without_entries_it_is_unknown(self, metadata: dict[str, object]) -> None:
        assert owned_since(metadata, *DATA) is None

    def test_an_entry_without_time_or_fields_is_passed_over(self) -> None:
        broken = [{"fieldsV1": {"f:data": {"f:ca.crt": {}}}}, {"time": "2026-11-23T11:00:00Z"}]
        assert owned_since({"managedFields": broken}, *DATA) is None


def test_a_bundle_is_read_with_its_members_and_its_age(stack: Stack) -> None:
    managed = (owned("2026-11-23T10:00:00Z", *DATA),)
    stack.dev.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=managed)]
    found = bundles(stack)["app"]
    assert found.anchors == {fingerprint("g1"), fingerprint("g2")}
    assert found.changed_at == at(10)
    assert (found.problem, found.place.cluster, found.place.name, found.place.key) == (
        None,
        "dev",
        "mesh-trust",
        "ca.crt",
    )


@pytest.mark.parametrize(
    ("config_maps", "problem"),
    [
        ([], BundleProblem.MISSING),
        ([config_map("app", {"tls.crt": root("g1")})], BundleProblem.MISSING),
        ([config_map("app", {"ca.crt": "\n"})], BundleProblem.EMPTY),
        ([config_map("app", {"ca.crt": "damaged"})], BundleProblem.UNPARSABLE),
        ([{"metadata": {"name": "mesh-trust", "namespace": "app"}}], BundleProblem.MISSING),
    ],
    ids=["no object", "other key", "empty", "damaged", "no data"],
)
def test_a_bundle_without_members_says_why(
    stack: Stack, config_maps: list[dict[str, object]], problem: BundleProblem
) -> None:
    stack.dev.objects[CONFIG_MAPS] = config_maps
    assert bundles(stack)["app"].problem == problem


def test_bundles_that_trust_manager_put_elsewhere_count(stack: Stack) -> None:
    stack.dev.objects[CONFIG_MAPS] = [
        bundle("app", "g1", labels=BY_TRUST_MANAGER),
        bundle("other", "g1", labels=BY_TRUST_MANAGER),
        bundle("copied-by-hand", "g1"),
        bundle("another", "g1", labels={"trust.cert-manager.io/bundle": "another-bundle"}),
    ]
    assert sorted(bundles(stack)) == ["app", "other"]


def test_only_the_config_map_of_that_name_is_asked_for(stack: Stack) -> None:
    stack.read()
    asked = [target for target in stack.dev.asked if target.startswith(CONFIG_MAPS)]
    assert asked == [f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dmesh-trust&limit=250"]


ROOTS = tuple(CaFacts.of(parsed(root(each))) for each in ("g1", "g2"))
STAGES = TrustStage(
    anchors={
        "g1": Anchor(role=Role.ISSUING, fingerprint=fingerprint("g1")),
        "g2": Anchor(role=Role.COMPROMISED, fingerprint=fingerprint("g2")),
    }
)


def record(**data: str) -> dict[str, object]:
    full = {"stage.json": STAGES.to_json(), "g1.pem": root("g1"), "g2.pem": root("g2")}
    managed = (
        owned("2026-11-23T10:00:00Z", "f:data", "f:stage.json"),
        owned("2026-11-23T11:00:00Z", "f:metadata", "f:labels"),
    )
    data = {name.replace("_", "."): text for name, text in data.items()}
    kept = {key: text for key, text in {**full, **data}.items() if text}
    return config_map("cert-manager", kept, name="mesh-trust-stage", managed=managed)


def gate(stack: Stack) -> GateObservation:
    (found,) = stack.read().gates
    return found


def test_without_a_record_there_is_no_gate(stack: Stack) -> None:
    assert stack.read().gates == ()


def test_the_record_is_read_with_its_age(stack: Stack) -> None:
    stack.dev.objects[STAGE] = record()
    assert gate(stack) == GateObservation(
        cluster="dev", stage=STAGES, changed_at=at(10), object_name="mesh-trust-stage", roots=ROOTS
    )


def test_recorded_anchors_make_leaves_ours(stack: Stack) -> None:
    """As after `compromised`, which takes the anchor out of every bundle."""
    stack.dev.objects[STAGE] = record()
    stack.prod.objects[REQUESTS] = [request(chain("g2"), certificate=None, issuer=TEAM_ISSUER)]
    assert [leaf.signers for leaf in stack.read().leaves] == [{fingerprint("g2")}]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"stage_json": ""}, "has no stage.json"),
        ({"stage_json": "{"}, "is not JSON"),
        ({"stage_json": '{"schema":"other"}'}, "unknown keys"),
    ],
)
def test_a_record_that_cannot_be_read_is_a_problem(
    stack: Stack, data: dict[str, str], complaint: str
) -> None:
    stack.dev.objects[STAGE] = record(**data)
    found = gate(stack)
    assert found.stage is None
    assert found.problem is not None
    assert complaint in found.problem
    assert "ConfigMap cert-manager/mesh-trust-stage" in found.problem


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"g2_pem": ""}, "no certificate in it has the key of g2"),
        ({"g2_pem": "damaged"}, "g2.pem: holds no PEM certificate"),
        ({"g2_pem": root("g3")}, "no certificate in it has the key of g2"),
    ],
    ids=["missing", "damaged", "another"],
)
def test_a_recorded_anchor_without_its_certificate_is_a_problem(
    stack: Stack, data: dict[str, str], complaint: str
) -> None:
    stack.dev.objects[STAGE] = record(**data)
    found = gate(stack)
    assert found.stage == STAGES
    assert found.problem is not None
    assert complaint in found.problem
