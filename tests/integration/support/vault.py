"""The lab's Vault server (``--with vault``), as tests need it."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import state
from lab.control_plane import ControlPlane
from lab.processes import stop
from lab.vault import NAME, VAULT, VaultFiles, address, connect

_READY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One request, as the audit log has it.

    Attributes:
        operation: ``create``, ``read``, ``update``, ``patch``, ``delete`` or ``list``.
        path: below ``/v1/``.
        user: ``display_name`` of the token: ``root``, ``token-NAME``, ``kubernetes-...``.
    """

    operation: str
    path: str
    user: str


class Vault:
    """The server of ``plane``, which was started with it."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._files = VaultFiles(paths=plane.paths)

    @property
    def address(self) -> str:
        return address(state.load(self._plane.paths.state).ports)

    @property
    def ca_file(self) -> Path:
        return self._files.authority.certificate

    @property
    def root_token(self) -> str:
        return self._files.token.read_text(encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """For the command line and for Pulumi's provider; the token comes on top."""
        return {"VAULT_ADDR": self.address, "VAULT_CACERT": str(self.ca_file)}

    def api(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
    ) -> Any:
        """The decoded answer to one request, with the root token unless ``token`` is given.

        Raises:
            hvac.exceptions.VaultError: any answer but 2xx.
        """
        ports = state.load(self._plane.paths.state).ports
        with closing(connect(self._files, ports, token or self.root_token)) as server:
            return server.request(method, f"/v1/{path}", json=body)

    def policy_token(
        self, policy_file: Path, replace: Mapping[str, str] | None = None, *, namespace: str = ""
    ) -> str:
        """A token with the rights of ``policy_file`` and no others, not even those of ``default``.

        Args:
            policy_file: HCL, such as ``deploy/vault-policy.hcl``.
            replace: what to write in place of the names in the file, such as ``pki-mesh``.
            namespace: of the server, in which policy and token are made.
        """
        inside = f"{namespace}/" if namespace else ""
        text = policy_file.read_text(encoding="utf-8")
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        name = policy_file.stem
        self.api("PUT", f"{inside}sys/policies/acl/{name}", {"policy": text})
        made = self.api(
            "POST",
            f"{inside}auth/token/create",
            {
                "policies": [name],
                "no_default_policy": True,
                "no_parent": True,
                "display_name": name,
                "ttl": "1h",
            },
        )
        return str(made["auth"]["client_token"])

    def seal(self) -> None:
        self.api("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal it as ``up`` does, and wait until it serves."""
        ports = state.load(self._plane.paths.state).ports
        deadline = time.monotonic() + _READY_SECONDS
        while (missing := VAULT.advance(self._plane.paths, ports)) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Vault is not ready after {_READY_SECONDS} s: {missing}")
            time.sleep(0.05)

    def stop(self) -> None:
        stop([self._plane.paths.pid_file(NAME)])

    def start(self) -> None:
        """Start and unseal it, by an ``up`` of the whole control plane."""
        self._plane.up()

    def restart(self) -> None:
        self.stop()
        self.start()

    def audit_requests(self, since: dt.datetime) -> list[AuditEntry]:
        """The requests of the audit log from ``since`` (with a time zone) on, in their order.

        Its clock is this machine's, so ``dt.datetime.now(dt.UTC)`` before the first is exact.
        """
        # A line that is being written has no end yet.
        lines = self._files.audit_log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return [
            AuditEntry(
                operation=entry["request"]["operation"],
                path=entry["request"]["path"],
                user=entry["auth"].get("display_name", ""),
            )
            for entry in map(json.loads, lines)
            if entry["type"] == "request" and dt.datetime.fromisoformat(entry["time"]) >= since
        ]
