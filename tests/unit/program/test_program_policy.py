"""No rule of the policy pack finds fault with what the program declares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import rpc

from policy.model import UNKNOWN, Resource, ResourceRule, Stack
from policy.rules import RULES
from tests.unit.program.engine import STACK_TYPE, Program, Secret, run_program
from tests.unit.program.stacks import COMPROMISED_G1, ISSUING_G2, TWO_CLUSTERS, bring, dev_stack
from tests.unit.settings.configuration import G2, changed


def _shown(value: Any) -> Any:
    """A value as the SDK hands it to a policy: secrets in clear text."""
    if isinstance(value, Secret):
        return _shown(value.value)
    if isinstance(value, Mapping):
        return {key: _shown(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_shown(child) for child in value]
    return UNKNOWN if value == rpc.UNKNOWN else value


def _resources(program: Program) -> list[Resource]:
    return [
        Resource(
            urn=r.urn,
            type=r.type,
            name=r.name,
            properties=_shown(r.inputs if r.custom else program.outputs.get(r.urn, {})),
            protect=r.protect,
            provider=r.provider.split("::")[3] if r.provider else None,
            parent=r.parent,
        )
        for r in program.resources
    ]


def _findings(program: Program) -> list[str]:
    exported = Resource(
        urn=f"urn:pulumi:test::mtls-pki::{STACK_TYPE}::mtls-pki-test",
        type=STACK_TYPE,
        name="mtls-pki-test",
        properties=_shown(program.exports),
    )
    resources = _resources(program)
    stack = Stack(resources=(exported, *resources))
    return [
        f"{rule.name}: {rule.message(finding)}"
        for rule in RULES
        for finding in (
            [f for r in resources for f in rule.find(r, rule.defaults)]
            if isinstance(rule, ResourceRule)
            else rule.find(stack, rule.defaults)
        )
    ]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize(
    "config",
    [
        dev_stack(),
        changed({"anchors.g2": G2}),
        changed(ISSUING_G2),
        changed(COMPROMISED_G1),
        changed({"clusters": TWO_CLUSTERS, "trust.via": "trust-manager"}),
        changed({"issuing.direct": True, "trust.createNamespaces": True}),
        changed({"anchors.g2": G2, "services.web.anchor": "g2"}),
    ],
    ids=["dev", "incoming", "outgoing", "compromised", "fleet", "direct", "canary"],
)
def test_the_program_breaks_no_rule(config: dict[str, Any], preview: bool) -> None:
    program = run_program(config, preview=preview)
    assert program.of("Certificate")
    assert _findings(program) == []


def test_neither_does_it_with_an_issuing_ca_that_was_brought(tmp_path: Path) -> None:
    brought = {"role": "issuing", **bring(tmp_path, "g1", issuing_ca=True)}
    program = run_program(changed({"anchors.g1": brought}), secret=["anchors"])
    assert _findings(program) == []


def test_the_rules_do_see_the_programs_resources() -> None:
    program = run_program(changed({"services.web.duration": "100h"}))
    (finding,) = _findings(program)
    assert finding.startswith("leaf-lifetime: Certificate app/web in dev: spec.duration is 100h")
