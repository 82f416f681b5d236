"""The stage record in each cluster, and that every change of trust waits for its guard."""

from __future__ import annotations

import json

import pulumi
import pytest

from mtls_pki.pki.fingerprints import spki_sha256
from tests.unit.pki.material import parsed
from tests.unit.program.engine import Program, plain, run_program
from tests.unit.program.stacks import COMPROMISED_G1, ISSUING_G2, TWO_CLUSTERS
from tests.unit.settings.configuration import changed


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(changed(ISSUING_G2 | {"clusters": TWO_CLUSTERS, "issuing.stable": True}))


@pytest.mark.parametrize("cluster", ["eu", "us"])
def test_the_record_names_every_anchor_by_its_key(program: Program, cluster: str) -> None:
    record = program.one("ConfigMap", f"{cluster}-gate")
    assert record.metadata["name"] == "mesh-trust-stage"
    assert record.metadata["namespace"] == "cert-manager"
    data = record.inputs["data"]
    assert plain(data) == data
    assert set(data) == {"stage.json", "domain.json", "g1.pem", "g2.pem"}
    stage = json.loads(data["stage.json"])["anchors"]
    for generation, role in (("g1", "outgoing"), ("g2", "issuing")):
        assert stage[generation]["role"] == role
        assert stage[generation]["fingerprint"] == spki_sha256(parsed(data[f"{generation}.pem"]))


def test_a_compromised_anchor_stays_on_record() -> None:
    """Leaves that still hang on it can only be told by its certificate."""
    record = run_program(changed(COMPROMISED_G1)).one("ConfigMap", "dev-gate")
    assert "g1.pem" in record.inputs["data"]


@pytest.mark.parametrize("cluster", ["eu", "us"])
def test_the_guard_speaks_before_the_record_is_written_and_in_previews(
    program: Program, cluster: str
) -> None:
    record = program.one("ConfigMap", f"{cluster}-gate")
    assert record.hooks == {
        "before_create": (f"guard-{cluster}",),
        "before_update": (f"guard-{cluster}",),
        "before_delete": ("guard/delete",),
    }
    guard = program.hooks[f"guard-{cluster}"]
    assert isinstance(guard, pulumi.ResourceHook)
    assert guard.opts is not None
    assert guard.opts.on_dry_run


def test_whatever_issues_or_distributes_trust_waits_for_the_gate(program: Program) -> None:
    waiting = [
        resource
        for kind in ("Secret", "ClusterIssuer", "Certificate", "ConfigMap")
        for resource in program.of(kind)
        if not resource.name.endswith("-gate")
    ]
    assert len(waiting) == 2 * (3 + 3 + 1 + 1)
    for resource in waiting:
        assert f"{resource.cluster}-gate" in program.waits_for(resource), resource.name


def test_whoever_acts_is_judged(program: Program) -> None:
    """By the guard of its cluster, in previews too."""
    for resource in program.resources:
        cluster = resource.cluster
        if resource.kind in {"Secret", "ClusterIssuer", "Certificate", "ConfigMap"}:
            name = f"guard/behind/{cluster}"
            if resource.name.endswith("-gate"):
                name = f"guard-{cluster}"
            also = (f"guard/secret/{cluster}",) if resource.kind == "Secret" else ()
            assert resource.hooks["before_create"] == (name, *also)
            assert resource.hooks["before_update"] == (name,)
            assert resource.hooks["before_delete"] == ("guard/delete",)
            for each in (name, "guard/delete"):
                hook = program.hooks[each]
                assert isinstance(hook, pulumi.ResourceHook)
                assert hook.opts is not None
                assert hook.opts.on_dry_run


def test_a_root_key_is_judged_before_it_is_made(program: Program) -> None:
    for generation in ("g1", "g2"):
        key = program.one("PrivateKey", f"{generation}-key")
        assert key.hooks == {"before_create": (f"guard/key/{generation}",)}


def test_an_abandoned_stack_is_destroyed_without_its_program() -> None:
    program = run_program(changed({"abandon": ["stack"]}))
    assert not any(resource.protect for resource in program.resources)
    assert not any("before_delete" in resource.hooks for resource in program.resources)
    # What an earlier run has left in the state may still name it.
    assert "guard/delete" in program.hooks


def test_the_gate_waits_for_no_change_of_trust(program: Program) -> None:
    for cluster in ("eu", "us"):
        before = program.waits_for(program.one("ConfigMap", f"{cluster}-gate"))
        assert {name for name in before if name.startswith(f"{cluster}-")} == {f"{cluster}-gate"}
