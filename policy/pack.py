"""From rules to policies of the SDK, and from the SDK's arguments to what rules look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policy.model import UNKNOWN, Finding, Resource, ResourceRule, Rule, Stack, StackRule

# `pulumi policy analyze` puts this in place of a secret that it cannot decrypt, whatever the type
# of the secret was (pulumi 3.259.0, pkg/cmd/pulumi/policy/policy_analyze.go).
_REDACTED = "[secret]"


def policies(rules: Iterable[ResourceRule | StackRule]) -> list[Policy]:
    """Return one policy for each rule, in the order of the rules."""
    return [
        _resource_policy(rule) if isinstance(rule, ResourceRule) else _stack_policy(rule)
        for rule in rules
    ]


def plain(value: Any) -> Any:
    """Return a property as plain values, with UNKNOWN for what the SDK refuses to hand out.

    The SDK gives up on the whole policy at the first access to an unknown value. One unknown name
    must not keep a rule from judging the other forty properties.
    """
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, index) for index in range(len(value))]
    return UNKNOWN if value == _REDACTED else value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _resource_policy(rule: ResourceRule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        findings = rule.find(_resource(args), _parameters(rule, args))
        _report(rule, findings, report)

    return ResourceValidationPolicy(**_common(rule), validate=validate)


def _stack_policy(rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        # The engine gives them in any order, but the same stack must give the same messages.
        ordered = sorted(args.resources, key=lambda resource: resource.urn)
        stack = Stack(resources=tuple(_resource(r) for r in ordered))
        _report(rule, rule.find(stack, _parameters(rule, args)), report)

    return StackValidationPolicy(**_common(rule), validate=validate)


def _common(rule: Rule) -> dict[str, Any]:
    schema = {name: dict(definition) for name, definition in rule.parameters.items()}
    return {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": EnforcementLevel(rule.level),
        "config_schema": PolicyConfigSchema(properties=schema) if schema else None,
        "remediation_steps": rule.remedy,
    }


def _report(
    rule: Rule, findings: Iterable[Finding], report: Callable[[str, str | None], Any]
) -> None:
    for finding in findings:
        report(rule.message(finding), finding.urn)


def _parameters(
    rule: Rule, args: ResourceValidationArgs | StackValidationArgs
) -> Mapping[str, Any]:
    return {**rule.defaults, **args.get_config()}


def _resource(given: ResourceValidationArgs | PolicyResource) -> Resource:
    return Resource(
        urn=given.urn,
        type=given.resource_type,
        name=given.name,
        properties=plain(given.props),
        protect=given.opts.protect,
        provider=given.provider.name if given.provider else None,
        parent=given.opts.parent,
    )
