"""What `status` says of a Vault: the server, the mount, and its own health check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from mtls_pki.backends.vault import health
from mtls_pki.backends.vault.health import Severity, VaultHealth, health_check, read_health
from mtls_pki.backends.vault.health_view import vault_view
from mtls_pki.backends.vault.transport import VaultAddress, VaultError
from mtls_pki.settings.model import Settings
from tests.unit.pki import material
from tests.unit.settings.configuration import load
from tests.unit.vaults.configuration import VAULT
from tests.unit.vaults.conftest import Server

_FOUND = {
    "ca_validity_period": [
        {"status_code": 1, "status": "ok", "endpoint": "/pki/issuer/i", "message": "Fine."},
        {"status_code": 3, "status": "warning", "endpoint": "/pki/issuer/j", "message": "Ends."},
    ],
    "tidy_last_run": [
        {"status_code": 4, "status": "critical", "endpoint": "/pki/tidy-status", "message": "No."}
    ],
    "enable_acme_issuance": None,
}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `bao` on PATH that prints what the file beside it holds, and what it was started with."""
    command = tmp_path / "bao"
    command.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" "$VAULT_ADDR" "$VAULT_CACERT" > "$0.asked"\n'
        'env > "$0.environment"\ncat "$0.says"\nexit 4\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return command


def _says(tool: Path, text: str) -> None:
    tool.with_suffix(".says").write_text(text)


@pytest.fixture
def settings(server: Server, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("VAULT_TOKEN", "s.of-a-test")
    loaded = load(VAULT)
    section = loaded.issuing.vault
    assert section is not None
    here = section.model_copy(update={"address": server.url})
    return loaded.model_copy(update={"issuing": loaded.issuing.model_copy(update={"vault": here})})


def _healthy(server: Server) -> None:
    health = {"initialized": True, "sealed": False, "version": "2.7.2", "server_time_utc": 0}
    server.says("GET /v1/sys/health", 200, health)
    server.says("GET /v1/auth/token/lookup-self", 200, {"data": {}})
    issuers = {"keys": ["one", "two"], "key_info": {"one": {"is_default": True}, "two": {}}}
    server.says("LIST /v1/pki-mesh/issuers", 200, {"data": issuers})
    root = material.root("g1")
    issuing = material.issuing("i1", root_pem=root, root_key=material.key_pem("g1"))
    for name, pem, key in (("one", issuing, "k"), ("two", root, "")):
        held = {"issuer_name": f"g1-{name}", "certificate": pem, "key_id": key}
        server.says(f"GET /v1/pki-mesh/issuer/{name}", 200, {"data": held})


def test_findings_come_gravest_first_whatever_the_tools_exit_status_is(tool: Path) -> None:
    _says(tool, json.dumps(_FOUND))
    address = VaultAddress(url="https://vault:8200", ca_file=Path("ca.pem"))
    findings = health_check(address, "pki-mesh")
    assert findings is not None
    assert [(each.check, each.severity) for each in findings] == [
        ("tidy_last_run", Severity.CRITICAL),
        ("ca_validity_period", Severity.WARNING),
        ("ca_validity_period", Severity.OK),
    ]
    asked = tool.with_suffix(".asked").read_text().splitlines()
    assert asked == [
        "pki", "health-check", "-format=json", "pki-mesh", "https://vault:8200", "ca.pem",
    ]  # fmt: skip


def test_a_tool_that_fails_is_quoted(tool: Path) -> None:
    _says(tool, "Error: no such mount\n")
    with pytest.raises(VaultError, match=r"`bao pki health-check pki-mesh` failed: Error: no such"):
        health_check(VaultAddress(url="https://vault:8200"), "pki-mesh")


@pytest.mark.parametrize(
    "answer", ["[]", '{"a": [1]}', '{"a": [{"status_code": 99, "endpoint": "", "message": ""}]}']
)
def test_an_answer_in_another_form_is_a_problem_and_no_traceback(tool: Path, answer: str) -> None:
    _says(tool, answer)
    with pytest.raises(VaultError, match="failed: its answer is in another form"):
        health_check(VaultAddress(url="https://vault:8200"), "pki-mesh")


def test_a_tool_that_hangs_or_does_not_start_is_a_problem_and_no_traceback(
    tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(health, "_CHECK_SECONDS", 0.1)
    with pytest.raises(VaultError, match=r"failed: no answer within 0\.1 s"):
        health_check(VaultAddress(url="https://vault:8200"), "pki-mesh")
    tool.write_text("#!/nowhere/sh\n")
    with pytest.raises(VaultError, match="failed: No such file or directory"):
        health_check(VaultAddress(url="https://vault:8200"), "pki-mesh")


@pytest.mark.parametrize("namespace", [None, "team"])
def test_the_tool_asks_the_configured_server_whatever_the_shell_says(
    tool: Path, monkeypatch: pytest.MonkeyPatch, namespace: str | None
) -> None:
    _says(tool, "{}")
    for name in ("BAO_ADDR", "BAO_CACERT", "BAO_NAMESPACE", "BAO_TOKEN", "VAULT_NAMESPACE"):
        monkeypatch.setenv(name, "of-the-shell")
    monkeypatch.setenv("VAULT_TOKEN", "s.of-a-test")
    health_check(VaultAddress(url="https://vault:8200", namespace=namespace), "pki-mesh")
    lines = tool.with_suffix(".environment").read_text().splitlines()
    told = dict(line.partition("=")[::2] for line in lines)
    assert "of-the-shell" not in told.values()
    assert told.get("VAULT_NAMESPACE") == namespace
    assert told["VAULT_ADDR"] == "https://vault:8200"
    assert told["VAULT_TOKEN"] == "s.of-a-test"  # noqa: S105 no token


def test_server_mount_and_findings_are_read(server: Server, settings: Settings, tool: Path) -> None:
    _healthy(server)
    _says(tool, json.dumps(_FOUND))
    health = read_health(settings, Path())
    assert health.server == "OpenBao 2.7.2"
    assert [(each.name, each.anchor, each.default, each.has_key) for each in health.issuers] == [
        ("g1-one", False, True, True),
        ("g1-two", True, False, False),
    ]
    assert "its clock differs" in health.problems[0]
    lines = _lines(health)
    assert any(line.startswith("  issuing CA g1-one: ends ") for line in lines)
    assert any(line.startswith("  anchor g1-two: ends ") for line in lines)
    assert "  health check: 2 to look at, 1 well, 0 hints" in lines
    assert "    critical: tidy_last_run (/pki/tidy-status): No." in lines
    document = health.to_json()
    assert document["healthCheck"][0]["status"] == "critical"
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({"initialized": True, "sealed": True, "version": "2.7.2"}, "sealed; nothing is issued"),
        ({"initialized": False, "sealed": True, "version": "2.7.2"}, "not initialised; nothing"),
    ],
)
def test_a_server_that_does_not_serve_says_why(
    server: Server, settings: Settings, health: dict[str, object], said: str
) -> None:
    server.says("GET /v1/sys/health", 200, health)
    found = read_health(settings, Path())
    assert said in found.problems[0]
    assert not found.checked
    assert any(said in line for line in _lines(found))


def test_a_token_that_is_refused_is_a_problem_and_no_error(
    server: Server, settings: Settings
) -> None:
    _healthy(server)
    server.says("GET /v1/auth/token/lookup-self", 403, {"errors": ["permission denied"]})
    found = read_health(settings, Path())
    assert "does not accept the token" in found.problems[-1]
    assert "s.of-a-test" not in repr(found)


def test_a_key_of_an_anchor_in_a_vault_stands_out(
    server: Server, settings: Settings, tool: Path
) -> None:
    _healthy(server)
    _says(tool, "{}")
    held = {"issuer_name": "g1-two", "certificate": material.root("g1"), "key_id": "k"}
    server.says("GET /v1/pki-mesh/issuer/two", 200, {"data": held})
    assert any(line.endswith(", with its key") for line in _lines(read_health(settings, Path())))


def test_long_lists_of_leaves_end() -> None:
    health = VaultHealth(url="https://vault:8200", mount="pki")
    lines = _lines(health, [f"leaf {number}" for number in range(25)])
    assert "  leaf 19" in lines
    assert "  leaf 20" not in lines
    assert "  and 5 more" in lines


def _lines(health: VaultHealth, unlike: list[str] | None = None) -> list[str]:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(vault_view(health, unlike or []))
    return [line.rstrip() for line in captured.get().splitlines()]
