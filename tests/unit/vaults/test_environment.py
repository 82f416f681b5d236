"""What a shell has set that Pulumi's provider would follow instead of the configuration."""

from __future__ import annotations

import pytest

from mtls_pki.backends.vault.environment import overriding_variables
from mtls_pki.backends.vault.names import vault_settings
from mtls_pki.backends.vault.section import VaultSettings
from tests.unit.settings.configuration import load
from tests.unit.vaults.configuration import VAULT


def _section(namespace: str | None = None) -> VaultSettings:
    return vault_settings(load({**VAULT, "issuing.vault.namespace": namespace}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("VAULT_AGENT_ADDR", "http://127.0.0.1:8100", "sends everything, with the token, to that"),
        ("VAULT_SKIP_VERIFY", "1", "takes any server certificate"),
        ("VAULT_SKIP_VERIFY", "TRUE", "takes any server certificate"),
        ("VAULT_NAMESPACE", "team", "works in that namespace"),
    ],
)
def test_what_the_provider_would_follow_is_told(name: str, value: str, said: str) -> None:
    (problem,) = overriding_variables(_section(), {name: value})
    assert problem.startswith(f"{name} is set, so that Pulumi's provider {said}")
    assert "unset it" in problem
    assert value not in problem.removeprefix(name)


@pytest.mark.parametrize(
    ("environment", "namespace"),
    [
        ({}, None),
        ({"VAULT_ADDR": "https://elsewhere:8200", "VAULT_TOKEN": "s.x"}, None),
        ({"VAULT_SKIP_VERIFY": "false", "VAULT_AGENT_ADDR": "", "VAULT_NAMESPACE": ""}, None),
        # The provider is told the configured one.
        ({"VAULT_NAMESPACE": "elsewhere"}, "team"),
    ],
)
def test_what_is_overridden_is_left_alone(
    environment: dict[str, str], namespace: str | None
) -> None:
    assert list(overriding_variables(_section(namespace), environment)) == []
