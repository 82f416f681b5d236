"""``lab up --with vault`` on the real OpenBao."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
from hvac.exceptions import VaultError

import lab.vault
from lab import cli
from lab.control_plane import ControlPlane, Health
from lab.errors import LabError
from lab.files import write_private
from lab.guard import Guard
from lab.programs import Pki
from lab.vault import VaultFiles
from tests.integration.support.vault import Vault

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-vault")]

MOUNT = "sys/mounts/kept"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this module's own, since its Vault is sealed, killed and emptied here."""
    root = tmp_path_factory.mktemp("own")
    guard = Guard(root)
    control_plane = ControlPlane(root, "own", with_=["vault"])
    control_plane.up()
    yield control_plane
    guard.release()


@pytest.fixture
def vault(plane: ControlPlane) -> Vault:
    plane.up()
    return Vault(plane)


def health(plane: ControlPlane) -> Health:
    return next(status.health for status in plane.status() if status.process == "vault")


def pid(plane: ControlPlane) -> int:
    found = next(status.pid for status in plane.status() if status.process == "vault")
    assert found is not None
    return found


def test_its_data_survive_a_stop_and_a_later_up_needs_no_option(
    plane: ControlPlane, vault: Vault
) -> None:
    token = vault.root_token
    vault.api("POST", MOUNT, {"type": "pki"})
    assert "vault" in plane.down()
    assert health(plane) is Health.STOPPED

    assert "vault" in ControlPlane(plane.paths.root, plane.name).up()

    assert health(plane) is Health.READY
    assert vault.root_token == token
    assert vault.api("GET", MOUNT)["data"]["type"] == "pki"
    assert ControlPlane(plane.paths.root, plane.name).up() == ()


def test_a_sealed_server_is_shown_and_the_next_up_unseals_it(
    plane: ControlPlane, vault: Vault
) -> None:
    before = pid(plane)
    vault.seal()
    assert health(plane) is Health.SEALED
    with pytest.raises(VaultError, match="sealed"):
        vault.api("GET", "sys/mounts")

    assert plane.up() == ()

    assert health(plane) is Health.READY
    assert pid(plane) == before


def test_a_killed_server_is_started_again_and_unsealed(plane: ControlPlane, vault: Vault) -> None:
    os.kill(pid(plane), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while health(plane) is not Health.DEAD and time.monotonic() < deadline:
        time.sleep(0.05)

    assert plane.up() == ("vault",)

    assert health(plane) is Health.READY
    assert vault.api("GET", "sys/seal-status")["sealed"] is False


def test_what_other_tests_do_to_it(plane: ControlPlane, vault: Vault) -> None:
    vault.restart()
    vault.seal()
    vault.unseal()
    assert health(plane) is Health.READY


def test_no_secret_is_shown_or_logged(
    plane: ControlPlane, vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    vault.restart()
    assert cli.main(["up", plane.name, "--directory", str(plane.paths.root)]) == 0
    assert cli.main(["status", "--directory", str(plane.paths.root)]) == 0
    assert cli.main(["status", "--json", "--directory", str(plane.paths.root)]) == 0
    shown = capsys.readouterr().out
    assert f"export VAULT_ADDR={vault.address} VAULT_CACERT={vault.ca_file}" in shown
    process = psutil.Process(pid(plane))
    places = {
        "output": shown,
        "arguments": " ".join(process.cmdline()),
        "environment": json.dumps(process.environ()),
    }
    files = VaultFiles(paths=plane.paths)
    holders = {files.keys, files.token}
    for path in plane.paths.directory.rglob("*"):
        # The server's own database holds what it encrypts with the key.
        if path.is_file() and path not in holders and files.data not in path.parents:
            places[str(path)] = path.read_bytes().decode(errors="replace")
    secrets = json.loads(files.keys.read_text())
    assert set(secrets) == {"unseal_key", "root_token"}

    found = {place for place, text in places.items() for s in secrets.values() if s in text}

    assert found == set()
    assert str(files.audit_log) in places
    assert {oct(path.stat().st_mode & 0o777) for path in holders} == {"0o600"}


def test_requests_are_in_the_audit_log(plane: ControlPlane, vault: Vault, tmp_path: Path) -> None:
    policy = tmp_path / "reader.hcl"
    policy.write_text('path "sys/mounts" { capabilities = ["read"] }\n')
    token = vault.policy_token(policy)
    began = dt.datetime.now(dt.UTC)

    vault.api("GET", "sys/mounts", token=token)
    with pytest.raises(VaultError, match="permission denied"):
        vault.api("GET", "auth/token/lookup-self", token=token)

    entries = vault.audit_requests(began)
    assert [(e.operation, e.path, e.user) for e in entries] == [
        ("read", "sys/mounts", "token-reader"),
        ("read", "auth/token/lookup-self", "token-reader"),
    ]
    assert VaultFiles(paths=plane.paths).audit_log.stat().st_mode & 0o777 == 0o600


def test_a_client_certificate_of_its_authority_opens_no_api_server(
    plane: ControlPlane, vault: Vault
) -> None:
    pki, own = Pki(paths=plane.paths), VaultFiles(paths=plane.paths).serving
    for client, status in ((pki.admin, 200), (own, 401)):
        with urllib3.PoolManager(
            ca_certs=str(pki.authority.certificate),
            cert_file=str(client.certificate),
            key_file=str(client.key),
        ) as pool:
            assert pool.request("GET", f"{plane.server}/api").status == status


def test_an_up_that_ends_before_the_keys_are_written_is_mended(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = VaultFiles(paths=plane.paths)
    plane.down(purge=True)

    def interrupted(path: Path, content: str) -> None:
        if path == files.keys and content:
            raise KeyboardInterrupt
        write_private(path, content)

    monkeypatch.setattr(lab.vault, "write_private", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plane.up()
    monkeypatch.undo()
    first = pid(plane)

    assert "vault" in plane.up()

    assert health(plane) is Health.READY
    assert pid(plane) != first
    assert Vault(plane).api("GET", "sys/mounts")["data"]


@pytest.mark.parametrize(
    ("unseal_key", "fault"), [(None, "is lost"), ("A" * 43 + "=", "does not fit")]
)
def test_lost_keys_are_named_with_the_way_out(
    plane: ControlPlane, vault: Vault, unseal_key: str | None, fault: str
) -> None:
    keys = VaultFiles(paths=plane.paths).keys
    kept = keys.read_text()
    vault.stop()
    if unseal_key is None:
        keys.unlink()
    else:
        write_private(keys, json.dumps({**json.loads(kept), "unseal_key": unseal_key}))

    with pytest.raises(LabError) as told:
        plane.up()

    assert f"({keys}) {fault}" in str(told.value)
    assert f"python -m lab down {plane.name} --purge" in str(told.value)
    write_private(keys, kept)
    plane.up()
    assert health(plane) is Health.READY
