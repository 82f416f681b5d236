"""How a Vault's answers become stops, errors and warnings of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from mtls_pki.backends.vault import declare as engine
from mtls_pki.backends.vault.connection import ServerFacts
from mtls_pki.backends.vault.declare import (
    comparison_hook,
    find_issuer,
    require_vault,
    vault_failure_hook,
    version_override,
)
from mtls_pki.backends.vault.preflight import VaultReading
from mtls_pki.settings.model import Settings
from tests.unit.pki import material
from tests.unit.program.engine import run_code
from tests.unit.settings.configuration import load
from tests.unit.vaults.configuration import VAULT
from tests.unit.vaults.conftest import Server

HERE = Path()
ROOT = material.root("g1")
CHAIN = material.issuing("i1", root_pem=ROOT, root_key=material.key_pem("g1"))


def reaching(server: Server) -> Settings:
    """Settings whose Vault is the small server, which speaks no TLS."""
    settings = load(VAULT)
    vault = settings.issuing.vault
    assert vault is not None
    there = vault.model_copy(update={"address": server.url})
    return settings.model_copy(
        update={"issuing": settings.issuing.model_copy(update={"vault": there})}
    )


def hook_called(hook: Any, **arguments: Any) -> Any:
    return hook.callback(
        pulumi.ResourceHookArgs(urn="urn", id="", name="pki-mesh-g1-i1", **arguments)
    )


ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
ISSUER = "vault:pkiSecret/secretBackendIssuer:SecretBackendIssuer"


@pytest.mark.parametrize(
    ("kind", "path", "asked", "held", "told"),
    [
        (
            ROLE,
            "roles/pki-mesh-g1-i1",
            {"name": "pki-mesh-g1-i1", "noStore": True},
            {"no_store": True},
            None,
        ),
        (
            ROLE,
            "roles/pki-mesh-g1-i1",
            {"name": "pki-mesh-g1-i1", "noStore": True},
            {},
            "no_store: asked for True, and the server does not know it",
        ),
        (
            ISSUER,
            "issuer/6f1c",
            {"issuerRef": "6f1c", "issuerName": "g1-i1", "leafNotAfterBehavior": "err"},
            {"issuer_name": "g1-i1", "leaf_not_after_behavior": "truncate"},
            "leaf_not_after_behavior: asked for err, held is truncate",
        ),
    ],
    ids=["taken", "ignored", "changed"],
)
def test_what_the_server_ignored_stops_the_run(
    server: Server,
    kind: str,
    path: str,
    asked: dict[str, Any],
    held: dict[str, Any],
    told: str | None,
) -> None:
    settings = reaching(server)
    server.says(f"GET /v1/pki-mesh/{path}", 200, {"data": held})
    # It takes what is written, and keeps what it had.
    server.says(f"POST /v1/pki-mesh/{path}", 200, {"data": held})
    hook = run_code(lambda: _made(comparison_hook(settings, HERE))).hooks["compare-vault"]
    if told is None:
        assert hook_called(hook, type=kind, new_inputs=asked) is None
        return
    with pytest.raises(pulumi.RunError) as stopped:
        hook_called(hook, type=kind, new_inputs=asked)
    assert str(stopped.value).startswith(f"pki-mesh/{path} is not what was asked for")
    assert told in str(stopped.value)


def _made(hook: object) -> None:
    assert hook is not None


def test_an_issuer_is_found_by_its_certificate_and_a_lost_one_is_told(server: Server) -> None:
    settings = reaching(server)
    find = find_issuer(settings, HERE)
    keys = {"data": {"keys": ["99aa", "6f1c"], "key_info": {}}}
    server.says("LIST /v1/pki-mesh/issuers", 200, keys)
    server.says("GET /v1/pki-mesh/issuer/99aa", 200, {"data": {"certificate": ROOT}})
    server.says("GET /v1/pki-mesh/issuer/6f1c", 200, {"data": {"certificate": CHAIN}})
    assert find(CHAIN + ROOT) == "6f1c"
    read = len(server.seen)
    assert find(ROOT) == "99aa"
    assert len(server.seen) == read  # one reading of the mount serves the run
    server.says("LIST /v1/pki-mesh/issuers", 200, {"data": {"keys": ["99aa"], "key_info": {}}})
    with pytest.raises(pulumi.RunError, match="does not hold the issuing CA") as told:
        find_issuer(settings, HERE)(CHAIN + ROOT)
    assert "issuing.intermediate.generation" in str(told.value)


def test_a_vault_that_is_not_ready_stops_previews_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = {"initialized": True, "sealed": True, "server_time_utc": 0, "version": "2.7.2"}
    server.says("GET /v1/sys/health", 200, sealed)
    for dry_run in (True, False):
        monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda answer=dry_run: answer)
        with pytest.raises(pulumi.RunError) as stopped:
            require_vault(reaching(server), HERE, frozenset())
        first, problem = str(stopped.value).splitlines()
        assert first == "the Vault is not ready for this stack; nothing was touched:"
        assert "is sealed" in problem


def test_a_shell_that_overrides_the_configuration_stops_the_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "read_vault", lambda *_, **__: VaultReading())
    monkeypatch.setenv("VAULT_AGENT_ADDR", "https://127.0.0.1:8100")
    with pytest.raises(pulumi.RunError, match="VAULT_AGENT_ADDR is set"):
        require_vault(reaching(server), HERE, frozenset())


def test_what_a_person_should_hear_is_a_warning(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    ready = VaultReading(warnings=("the clock differs",))
    monkeypatch.setattr(engine, "read_vault", lambda *_, **__: ready)
    assert require_vault(reaching(server), HERE, frozenset()) is ready
    assert said == ["the clock differs"]


def test_openbao_is_spoken_to_as_the_vault_that_it_can_stand_for() -> None:
    facts = {"initialized": True, "sealed": False, "clock": material.NOW}
    bao = ServerFacts(version="2.7.2", openbao=True, **facts)  # type: ignore[arg-type]
    vault = ServerFacts(version="1.18.5", openbao=False, **facts)  # type: ignore[arg-type]
    assert version_override(VaultReading(server=bao)) == "1.18.5"
    assert version_override(VaultReading(server=vault)) is None
    assert version_override(VaultReading()) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("Code: 503. Errors:\n\n* Vault is sealed", ["unseal it"]), ("timed out", [])],
    ids=["known", "unknown"],
)
def test_an_error_of_the_provider_is_explained_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]
) -> None:
    errors: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", errors.append)
    hook = run_code(lambda: _made(vault_failure_hook())).hooks["explain:vault"]
    assert isinstance(hook, pulumi.ErrorHook)
    again = hook.callback(
        pulumi.ErrorHookArgs(
            urn="urn",
            id="",
            name="pki-mesh",
            type="vault:index/mount:Mount",
            new_inputs={},
            old_inputs=None,
            failed_operation="create",
            errors=[text],
        )
    )
    assert again is False
    assert len(errors) == len(said)
    assert all(each in errors[0] for each in said)
