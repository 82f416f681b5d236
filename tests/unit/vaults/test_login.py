"""A login that something else than a Vault answers; tests/integration/test_vault_login.py has the
rest, with a real server.
"""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.backends.vault.login import log_in
from mtls_pki.backends.vault.transport import InsideTls, VaultAddress, VaultError, connect
from tests.unit.vaults.conftest import Server


@pytest.mark.parametrize("answer", [b"<html>Welcome</html>", b"[]", {"data": {}}, {"auth": None}])
def test_a_server_that_is_no_vault_is_named(server: Server, answer: Any) -> None:
    server.says("POST /v1/auth/jwt/login", 200, answer)
    with pytest.raises(VaultError, match="does not answer as a Vault does") as told:
        log_in(VaultAddress(url=server.url), path="jwt", role="deploy", identity="a.signed.jwt")
    assert "a.signed.jwt" not in str(told.value)


def test_neither_token_nor_identity_leaves_tls_by_a_redirect() -> None:
    client = connect(VaultAddress(url="https://vault:8200"), token="")
    assert isinstance(client.adapter.session, InsideTls)
