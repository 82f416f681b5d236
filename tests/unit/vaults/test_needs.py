"""What the program asks its token for is what the policies in ``deploy/`` grant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.backends.vault.names import login_role_names
from mtls_pki.backends.vault.needs import needed_capabilities
from tests.unit.settings.configuration import G2, load
from tests.unit.vaults.configuration import VAULT

DEPLOY = Path(__file__).parents[3] / "deploy"
_RULE = re.compile(r'^path "([^"]+)" \{\n  capabilities = \[([^]]+)\]\n\}$', re.MULTILINE)
TWO = {**VAULT, "anchors.g2": G2, "trust.namespaces": ["app", "db"]}


def granted(policy: str, path: str) -> set[str]:
    """What a policy file allows at ``path``: by its longest rule, as the server decides."""
    text = (DEPLOY / policy).read_text(encoding="utf-8")
    rules = {rule: set(re.findall(r"\w+", names)) for rule, names in _RULE.findall(text)}
    fitting = [rule for rule in rules if re.fullmatch(_pattern(rule), path)]
    return rules[max(fitting, key=len)] if fitting else set()


def _pattern(rule: str) -> str:
    return re.sub(r"\\\*$", ".*", re.escape(rule)).replace(r"\+", "[^/]+")


def lacking(policy: str, needs: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """What is needed and not granted, by path."""
    found = {path: {*names} - granted(policy, path) for path, names in needs.items()}
    return {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "changes",
    [{}, {"issuing.kind": "Issuer", "issuing.stable": True}, {"issuing.vault.adopt": True}],
    ids=["ClusterIssuer", "Issuer", "adopted"],
)
def test_the_policies_grant_what_is_needed(changes: dict[str, Any]) -> None:
    settings = load({**TWO, **changes})
    for policy, only_reading in (("vault-policy.hcl", False), ("vault-policy-evidence.hcl", True)):
        needs = needed_capabilities(settings, only_reading=only_reading)
        assert needs
        assert lacking(policy, needs) == {}


def test_evidence_alone_is_not_enough_to_write() -> None:
    needs = needed_capabilities(load(VAULT), only_reading=False)
    missing = lacking("vault-policy-evidence.hcl", needs)
    assert missing["sys/mounts/pki-mesh"] == {"update"}
    assert missing["auth/kubernetes-dev/role/mtls-ca-g1-i1-vault"] == {"create", "update", "delete"}


def test_an_adopted_mount_is_not_to_be_changed() -> None:
    needs = needed_capabilities(load({**VAULT, "issuing.vault.adopt": True}), only_reading=False)
    assert needs["sys/mounts/pki-mesh"] == ("read",)
    assert not {"pki-mesh/config/issuers", "sys/mounts/pki-mesh/tune"} & needs.keys()


def test_every_issuer_has_its_own_login_role() -> None:
    kind = {"issuing.kind": "Issuer", "issuing.stable": True}
    assert login_role_names(load({**TWO, **kind})) == (
        "mtls-ca-g1-i1-vault-app",
        "mtls-ca-g1-i1-vault-db",
        "mtls-ca-app",
        "mtls-ca-db",
    )
    assert login_role_names(load(TWO)) == ("mtls-ca-g1-i1-vault",)
    moved = {**TWO, "anchors.g1.backend": "ca", "services.web.anchor": "g2"}
    assert login_role_names(load(moved)) == ("mtls-ca-g2-i1-vault",)


def test_the_policy_of_up_grants_nothing_more() -> None:
    text = (DEPLOY / "vault-policy.hcl").read_text(encoding="utf-8")
    asked = needed_capabilities(load(TWO), only_reading=False)
    for rule, names in _RULE.findall(text):
        # Asked for by the preflight itself, and at the end of a pipeline's login.
        if rule in ("auth/token/lookup-self", "sys/capabilities-self", "auth/token/revoke-self"):
            continue
        used = {
            name
            for path, wanted in asked.items()
            if re.fullmatch(_pattern(rule), path)
            for name in wanted
        }
        assert set(re.findall(r"\w+", names)) == used, rule
