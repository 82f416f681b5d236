"""What answers of a server, and their absence, become; the server here is a small one."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from mtls_pki.backends.vault.connection import Vault
from mtls_pki.backends.vault.transport import InsideTls, VaultAddress, VaultError
from tests.unit.vaults.conftest import Server

OPENBAO = {"initialized": True, "sealed": False, "server_time_utc": 1795444800, "version": "2.7.2"}
HASHICORP = {**OPENBAO, "version": "1.18.5", "enterprise": False}
TOKEN = "s.of-a-test"  # noqa: S105 no token


@pytest.fixture
def vault(server: Server, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    return Vault(VaultAddress(url=server.url))


@pytest.mark.parametrize(("health", "openbao"), [(OPENBAO, True), (HASHICORP, False)])
def test_openbao_is_told_from_vault(
    server: Server, vault: Vault, health: dict[str, Any], openbao: bool
) -> None:
    server.says("GET /v1/sys/health", 200, health)
    facts = vault.server()
    assert facts.openbao is openbao
    assert (facts.initialized, facts.sealed) == (True, False)
    assert facts.clock == datetime(2026, 11, 23, 14, 40, tzinfo=UTC)


def test_the_namespace_is_the_configured_one_and_health_is_outside_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_NAMESPACE", "of-the-shell")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    server.says("GET /v1/sys/health", 200, OPENBAO)
    for namespace in ("team", None):
        vault = Vault(VaultAddress(url=server.url, namespace=namespace))
        vault.server()
        vault.read("pki-mesh/roles/x")
    sent = [headers.get("x-vault-namespace") for _, headers, _ in server.seen]
    assert sent == [None, "team", None, None]
    # Nor is a token sent where none is asked for.
    tokens = [headers.get("x-vault-token") for _, headers, _ in server.seen]
    assert tokens == [None, TOKEN, None, TOKEN]


def test_a_token_that_is_refused_and_one_that_is_missing_are_told_apart(
    server: Server, vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server.says("GET /v1/auth/token/lookup-self", 403, {"errors": ["permission denied"]})
    mistake = vault.token_mistake()
    assert mistake is not None
    assert "does not accept the token" in mistake
    assert TOKEN not in mistake
    server.says("GET /v1/auth/token/lookup-self", 200, {"data": {}})
    assert vault.token_mistake() is None
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    absent = Vault(VaultAddress(url=server.url)).token_mistake()
    assert absent is not None
    assert absent.startswith("there is no token; set VAULT_TOKEN")


@pytest.mark.parametrize("spoilt", [f"{TOKEN}\n", f"{TOKEN}\r", f" {TOKEN}", f"{TOKEN}\u2026"])
def test_a_token_that_is_none_is_neither_sent_nor_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    """A line's end, as `$(cat token)` under CRLF leaves one: HTTP libraries quote it in errors."""
    monkeypatch.setenv("VAULT_TOKEN", spoilt)
    vault = Vault(VaultAddress(url=server.url))
    mistake = vault.token_mistake()
    assert mistake is not None
    assert "set VAULT_TOKEN to the token alone" in mistake
    with pytest.raises(VaultError, match="set VAULT_TOKEN to the token alone") as told:
        vault.read("pki-mesh/roles/x")
    assert TOKEN not in mistake + str(told.value)
    assert server.seen == []


def test_a_token_file_that_cannot_be_read_is_as_none(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".vault-token").mkdir()
    mistake = Vault(VaultAddress(url=server.url)).token_mistake()
    assert mistake is not None
    assert "so that ~/.vault-token has one that can be read" in mistake


@pytest.mark.parametrize("answer", [b"<html>Welcome</html>", b"[]", {"status": "up"}])
def test_a_server_that_is_no_vault_is_named(server: Server, vault: Vault, answer: Any) -> None:
    server.says("GET /v1/sys/health", 200, answer)
    with pytest.raises(VaultError, match="does not answer as a Vault does"):
        vault.server()


@pytest.mark.parametrize(
    ("asked", "there", "follows"),
    [
        ("https://standby:8200/v1/sys/mounts", "https://active:8200/v1/sys/mounts", True),
        ("https://standby:8200/v1/sys/mounts", "/v1/sys/mounts/", True),
        ("https://standby:8200/v1/sys/mounts", "http://active:8200/v1/sys/mounts", False),
        ("https://standby:8200/v1/sys/mounts", "//active:8200/v1/sys/mounts", True),
    ],
)
def test_a_token_never_follows_a_redirect_out_of_tls(asked: str, there: str, follows: bool) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 307, asked
    answer.headers["location"] = there
    if follows:
        assert InsideTls().get_redirect_target(answer) == there
    else:
        with pytest.raises(VaultError, match="where the token would go in clear text"):
            InsideTls().get_redirect_target(answer)


def test_a_redirect_is_followed_by_this_rule(
    server: Server, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def target(_: InsideTls, answer: requests.Response) -> None:
        seen.append(answer.url)

    monkeypatch.setattr(InsideTls, "get_redirect_target", target)
    server.says("GET /v1/pki-mesh/roles/x", 200, {"data": {}})
    vault.read("pki-mesh/roles/x")
    assert seen == [f"{server.url}/v1/pki-mesh/roles/x"]


def test_rights_that_are_missing_are_listed_and_root_has_all(server: Server, vault: Vault) -> None:
    wanted = {"pki/roles/a": ("read", "update"), "pki/roles/b": ("read",), "sys/x": ("sudo",)}
    held = {"pki/roles/a": ["read"], "pki/roles/b": ["read"], "sys/x": ["root"]}
    server.says("POST /v1/sys/capabilities-self", 200, {"data": held})
    assert vault.missing_capabilities(wanted) == {"pki/roles/a": ["update"]}
    assert server.seen[-1][2] == {"paths": list(wanted)}


def test_what_is_not_mounted_is_none_and_what_cannot_be_known_is_an_error(
    server: Server, vault: Vault
) -> None:
    absent = {"errors": ["No secret engine mount at pki-mesh/"]}
    server.says("GET /v1/sys/mounts/pki-mesh", 400, absent)
    assert vault.mount("pki-mesh") is None
    server.says("GET /v1/sys/mounts/pki-mesh", 400, {"errors": ["another"]})
    with pytest.raises(VaultError, match="reading sys/mounts/pki-mesh failed: another"):
        vault.mount("pki-mesh")
    server.says("GET /v1/sys/mounts/auth/kubernetes-dev", 200, {"data": {"type": "kubernetes"}})
    assert vault.auth_method("kubernetes-dev") == {"type": "kubernetes"}


def test_issuers_are_read_with_their_certificates_and_whether_they_have_keys(
    server: Server, vault: Vault
) -> None:
    assert vault.issuers("pki-mesh") == ()
    info = {"6f1c": {"is_default": True}, "99aa": {}}
    server.says("LIST /v1/pki-mesh/issuers", 200, {"data": {"keys": [*info], "key_info": info}})
    ours = {"issuer_name": "g1-i1", "certificate": "PEM", "key_id": "77"}
    server.says("GET /v1/pki-mesh/issuer/6f1c", 200, {"data": ours})
    server.says("GET /v1/pki-mesh/issuer/99aa", 200, {"data": {"certificate": "ROOT"}})
    first, second = vault.issuers("pki-mesh")
    assert (first.name, first.certificate_pem, first.default, first.has_key) == (
        "g1-i1",
        "PEM",
        True,
        True,
    )
    assert (second.name, second.default, second.has_key) == ("", False, False)


def test_what_the_token_may_not_read_names_the_line_of_the_policy(
    server: Server, vault: Vault
) -> None:
    server.says("GET /v1/pki-mesh/roles/x", 403, {"errors": ["permission denied"]})
    with pytest.raises(VaultError) as told:
        vault.read("pki-mesh/roles/x")
    assert 'path "pki-mesh/roles/x" { capabilities = ["read"] }' in str(told.value)
    assert "deploy/vault-policy-evidence.hcl" in str(told.value)
    server.says("POST /v1/sys/capabilities-self", 403, {"errors": ["permission denied"]})
    with pytest.raises(VaultError) as asked:
        vault.missing_capabilities({"pki-mesh/roles/x": ["read"]})
    assert 'path "sys/capabilities-self" { capabilities = ["update"] }' in str(asked.value)
    assert TOKEN not in str(told.value)


def test_a_server_that_is_sealed_or_away_is_named(server: Server, vault: Vault) -> None:
    server.says("GET /v1/pki-mesh/roles/x", 503, {"errors": ["Vault is sealed"]})
    with pytest.raises(VaultError, match="is sealed or not initialised; unseal it"):
        vault.read("pki-mesh/roles/x")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(VaultError, match=f"{url} cannot be reached") as told:
            Vault(VaultAddress(url=url)).server()
    assert "is it up, and is this its address?" in str(told.value)
    assert "\n" not in str(told.value)
