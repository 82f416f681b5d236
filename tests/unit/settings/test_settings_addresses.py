"""Addresses of a Vault: what is one, and that no password in one is shown."""

from __future__ import annotations

import pytest

from mtls_pki.settings.errors import SettingsError
from tests.unit.settings.configuration import load


def told(url: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load({"issuing.vault.server": url})
    (mistake,) = caught.value.mistakes
    return str(mistake)


@pytest.mark.parametrize("url", ["https://h:8200/", "https://[::1]:8200", "https://Vault.example"])
def test_an_address_of_a_vault_is_scheme_host_and_port(url: str) -> None:
    settings = load({"issuing.vault.server": url})
    assert settings.issuing.vault is not None
    assert settings.issuing.vault.server == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://h:8200", "h:8200", "https://", "https://h/v1", "https://h?x", "https://h#x",
     "https://h:x", "https://h:65536", "https://[::1"],
)  # fmt: skip
def test_any_other_address_of_a_vault_is_a_mistake(url: str) -> None:
    said = "write https://HOST:PORT and nothing more; a token never goes in clear text"
    assert told(url) == f"issuing.vault.server: {url!r}: {said}"


def test_a_password_in_an_address_is_a_mistake_and_not_shown() -> None:
    said = told("https://me:hunter2@vault:8200")
    assert said.startswith("issuing.vault.server: write https://HOST:PORT")
