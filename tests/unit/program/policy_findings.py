"""The policy pack's rules on what the program declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.runtime import rpc

from policy.model import UNKNOWN, Resource, ResourceRule, Stack
from policy.rules import RULES
from tests.unit.program.engine import STACK_TYPE, Program, Secret


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


def findings(program: Program) -> list[str]:
    """Every finding of every rule with its defaults."""
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
