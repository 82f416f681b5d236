"""The same keys and configuration give the same resources, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pki import material
from tests.unit.program.engine import Program, run_program
from tests.unit.program.stacks import ISSUING_G2, TWO_CLUSTERS, dev_stack
from tests.unit.settings.configuration import changed

STACKS = {
    "dev": dev_stack(),
    "rotation in two clusters": changed(
        ISSUING_G2
        | {"clusters": TWO_CLUSTERS, "issuing.stable": True, "trust.via": "trust-manager"}
    ),
    "RSA and Ed25519": changed(
        {
            "anchors.g1.keyAlgorithm": "RSA-2048",
            "issuing.intermediate": {"keyAlgorithm": "Ed25519"},
        }
    ),
}


def declared(program: Program) -> dict[str, Any]:
    return {
        resource.urn: (
            resource.inputs,
            resource.dependencies,
            resource.provider,
            resource.protect,
            resource.hooks,
        )
        for resource in program.resources
    }


@pytest.mark.parametrize("name", STACKS)
def test_two_runs_declare_the_same(name: str) -> None:
    first, second = run_program(STACKS[name]), run_program(STACKS[name])
    assert declared(first) == declared(second)
    assert first.outputs == second.outputs


def test_the_order_of_the_configuration_does_not_matter() -> None:
    values = STACKS["rotation in two clusters"]
    turned = values | {
        section: dict(reversed(values[section].items())) for section in ("anchors", "clusters")
    }
    assert list(turned["anchors"]) != list(values["anchors"])
    assert declared(run_program(turned)) == declared(run_program(values))


def test_another_key_gives_other_certificates_and_nothing_else() -> None:
    def other_key(name: str, kind: str) -> str:
        return material.key_pem(f"other-{name}", kind)

    first, second = run_program(dev_stack()), run_program(dev_stack(), make_key=other_key)
    differing = {
        resource.kind
        for resource in first.resources
        if resource.inputs != second.by_urn[resource.urn].inputs
    }
    assert differing == {"ConfigMap", "Secret"}
