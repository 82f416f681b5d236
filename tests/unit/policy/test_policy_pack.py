"""The seam to the policy SDK: what it hands over, what it is told, and what the README promises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import (
    EnforcementLevel,
    PolicyResource,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.policy import (
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResourceOptions,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy.model import (
    UNKNOWN,
    Finding,
    Parameters,
    Resource,
    ResourceRule,
    Stack,
    StackRule,
    about,
)
from policy.pack import plain, policies
from policy.rules import RULES

_PACK = Path(__file__).parents[3] / "policy"
_README = (_PACK / "README.md").read_text(encoding="utf-8")
_PARAMETERS = {"limit": {"type": "integer", "default": 3}}
_OPTIONS = PolicyResourceOptions(
    protect=True,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
    parent="urn:pulumi:dev::p::a:b:C::parent",
)
_PROVIDER = PolicyProviderResource("pulumi:providers:kubernetes", {}, "urn", "dev")
_URN = "urn:pulumi:dev::p::a:b:C$kubernetes:core/v1:ConfigMap::notes"
_TYPE = "kubernetes:core/v1:ConfigMap"
_GIVEN = {
    "metadata": {"name": UNKNOWN_STRING_VALUE, "namespace": "shop"},
    "data": {
        "a": "x",
        "b": UNKNOWN_STRING_VALUE,
        "c": ["y", UNKNOWN_STRING_VALUE],
        "d": "[secret]",
    },
}


def _both(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    assert resource == _seen()
    yield about(resource, f"limit {parameters['limit']}")


def _all(stack: Stack, parameters: Parameters) -> Iterator[Finding]:
    for resource in stack.resources:
        yield from _both(resource, parameters)


_ONE = ResourceRule(
    name="a-rule",
    description="It holds.",
    remedy="mend it",
    parameters=_PARAMETERS,
    level="advisory",
    find=_both,
)
_WHOLE = StackRule(
    name="a-rule", description="They hold.", remedy="mend it", parameters=_PARAMETERS, find=_all
)


def _seen() -> Resource:
    return Resource(
        urn=_URN,
        type=_TYPE,
        name="notes",
        properties={
            "metadata": {"name": UNKNOWN, "namespace": "shop"},
            "data": {"a": "x", "b": UNKNOWN, "c": ["y", UNKNOWN], "d": UNKNOWN},
        },
        protect=True,
        provider="dev",
        parent="urn:pulumi:dev::p::a:b:C::parent",
    )


def _judge(rule: ResourceRule | StackRule, config: Mapping[str, Any] | None) -> list[Any]:
    (policy,) = policies([rule])
    said: list[Any] = []

    def report(message: str, urn: str | None = None) -> None:
        said.append((message, urn))

    properties = unknown_checking_proxy(dict(_GIVEN))
    if isinstance(policy, ResourceValidationPolicy):
        arguments = ResourceValidationArgs(
            _TYPE, properties, _URN, "notes", _OPTIONS, _PROVIDER, config
        )
        policy.validate(arguments, report)
    else:
        assert isinstance(policy, StackValidationPolicy)
        resource = PolicyResource(
            _TYPE, properties, _URN, "notes", _OPTIONS, _PROVIDER, None, [], {}
        )
        policy.validate(StackValidationArgs([resource], config), report)
    return said


@pytest.mark.parametrize("rule", [_ONE, _WHOLE], ids=["resource", "stack"])
@pytest.mark.parametrize(("config", "limit"), [(None, 3), ({"limit": 5}, 5)])
def test_a_rule_sees_plain_values_and_its_configuration(
    rule: ResourceRule | StackRule, config: Mapping[str, Any] | None, limit: int
) -> None:
    assert _judge(rule, config) == [
        (f"ConfigMap shop/notes in dev: limit {limit}. What to do: mend it.", _URN)
    ]


def test_levels_and_parameters_reach_the_engine() -> None:
    advisory, mandatory = policies([_ONE, _WHOLE])
    assert advisory.enforcement_level is EnforcementLevel.ADVISORY
    assert mandatory.enforcement_level is EnforcementLevel.MANDATORY
    assert advisory.config_schema is not None
    assert advisory.config_schema.properties == _PARAMETERS
    assert advisory.description == "It holds."
    assert advisory.remediation_steps == "mend it"


def test_an_unknown_list_or_map_is_unknown_as_a_whole() -> None:
    proxied = unknown_checking_proxy({"spec": UNKNOWN_STRING_VALUE, "n": 1.0, "none": None})
    assert plain(proxied) == {"spec": UNKNOWN, "n": 1.0, "none": None}


def test_a_resource_does_not_show_its_properties_when_it_is_printed() -> None:
    shown = Resource(urn="u", type="t", name="n", properties={"key": "hush"})
    assert "hush" not in repr(shown)


def test_every_rule_becomes_a_policy_of_its_own_name() -> None:
    assert [policy.name for policy in policies(RULES)] == [rule.name for rule in RULES]
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_says_what_holds_and_what_to_do(rule: ResourceRule | StackRule) -> None:
    assert rule.description.endswith(".")
    assert not rule.remedy.endswith(".")
    assert all({"default", "type", "description"} <= set(p) for p in rule.parameters.values())
    for parameter in re.findall(r"parameters? ([a-zA-Z]+)(?: and ([a-zA-Z]+))?", rule.remedy):
        assert set(filter(None, parameter)) <= set(rule.parameters)


def test_the_readme_lists_every_rule_and_parameter() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|([^|]*)\|$", _README, flags=re.M)
    assert {name: set(re.findall(r"`(\w+)`", given)) for name, given in rows} == {
        rule.name: set(rule.parameters) for rule in RULES
    }


def test_the_pack_runs_in_the_programs_own_environment() -> None:
    text = (_PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8")
    (relative,) = re.findall(r"virtualenv: (\S+)", text)
    assert (_PACK / relative).resolve() == (_PACK.parent / ".venv").resolve()
