"""The shipped policies and what the preflight asks for are the same rights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.settings.configuration import load
from vaults.needs import needed_capabilities

_DEPLOY = Path(__file__).parents[3] / "deploy"
_RULE = re.compile(r'^path "([^"]+)" \{\s+capabilities = \[([^]]+)\]', re.M)
# Asked for before anything else, and by the commands that only read.
_ALWAYS = {"auth/token/lookup-self", "sys/capabilities-self"}
VAULT = {"issuing.backend": "vault", "issuing.vault.server": "https://vault.example.org:8200"}


def _rules(name: str) -> dict[str, set[str]]:
    text = (_DEPLOY / name).read_text(encoding="utf-8")
    return {path: set(re.findall(r"\w+", granted)) for path, granted in _RULE.findall(text)}


def _granted(rules: dict[str, set[str]], path: str) -> set[str]:
    """What a policy grants: ``+`` is one part of a path, ``*`` at the end is any rest."""

    def matches(rule: str) -> bool:
        pattern = re.escape(rule).replace(r"\+", "[^/]+")
        pattern = pattern.removesuffix(r"\*") + ".*" if rule.endswith("*") else pattern
        return re.fullmatch(pattern, path) is not None

    return set().union(*(granted for rule, granted in rules.items() if matches(rule)))


@pytest.mark.parametrize(
    ("policy", "only_reading"),
    [("vault-policy.hcl", False), ("vault-policy-evidence.hcl", True)],
)
def test_the_shipped_policy_grants_what_is_asked_for(policy: str, only_reading: bool) -> None:
    rules = _rules(policy)
    for path, wanted in needed_capabilities(load(VAULT), only_reading=only_reading).items():
        assert set(wanted) <= _granted(rules, path), path


def test_the_policy_of_up_grants_nothing_more() -> None:
    asked = needed_capabilities(load(VAULT), only_reading=False)
    for rule, granted in _rules("vault-policy.hcl").items():
        if rule in _ALWAYS:
            continue
        used: set[str] = set()
        for path, wanted in asked.items():
            if _granted({rule: granted}, path):
                used |= set(wanted)
        assert granted == used, rule


def test_an_adopted_mount_is_neither_made_nor_tuned() -> None:
    asked = needed_capabilities(load(VAULT | {"issuing.vault.adopt": True}), only_reading=False)
    assert asked["sys/mounts/pki-mesh"] == ("read",)
    assert "sys/mounts/pki-mesh/tune" not in asked
    assert "pki-mesh/config/issuers" not in asked
