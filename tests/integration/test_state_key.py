"""What a token may do under ``deploy/vault-policy-state.hcl``, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hvac.exceptions import VaultError

from tests.integration.support.keeper import KEY, keeping, token
from tests.integration.support.vault import Vault

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("vault")]


@pytest.fixture(scope="module")
def keeper(vault: Vault) -> Iterator[Vault]:
    """The Vault with the key, and another one."""
    with keeping(vault):
        vault.api("POST", f"transit/keys/{KEY}-other", {})
        yield vault


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"transit/keys/{KEY}"),
        ("DELETE", f"transit/keys/{KEY}"),
        ("POST", f"transit/keys/{KEY}/config"),
        ("POST", f"transit/keys/{KEY}/rotate"),
        ("GET", f"transit/export/encryption-key/{KEY}"),
        ("POST", f"transit/datakey/plaintext/{KEY}"),
        ("POST", f"transit/encrypt/{KEY}-other"),
        ("POST", f"transit/decrypt/{KEY}-other"),
        ("DELETE", "sys/mounts/transit"),
    ],
)
def test_the_token_may_use_its_key_and_nothing_else(
    keeper: Vault, tmp_path: Path, method: str, path: str
) -> None:
    own = token(keeper, tmp_path, KEY)
    made = keeper.api("POST", f"transit/encrypt/{KEY}", {"plaintext": "YQ=="}, token=own)
    opened = keeper.api("POST", f"transit/decrypt/{KEY}", made["data"], token=own)
    assert opened["data"]["plaintext"] == "YQ=="
    with pytest.raises(VaultError, match="permission denied"):
        keeper.api(method, path, {"plaintext": "YQ=="} if method == "POST" else None, token=own)


def test_no_key_is_made_because_its_name_is_mistyped(keeper: Vault, tmp_path: Path) -> None:
    def encrypts(own: str) -> None:
        keeper.api("POST", "transit/encrypt/mistyped", {"plaintext": "YQ=="}, token=own)

    with pytest.raises(VaultError):
        encrypts(token(keeper, tmp_path, "mistyped"))
    assert "mistyped" not in keeper.api("LIST", "transit/keys")["data"]["keys"]
    # The negative control: `create` in the policy would have made it.
    wider = tmp_path / "wider.hcl"
    wider.write_text(
        'path "transit/encrypt/mistyped" {\n  capabilities = ["create", "update"]\n}\n'
    )
    encrypts(keeper.policy_token(wider))
    assert "mistyped" in keeper.api("LIST", "transit/keys")["data"]["keys"]
