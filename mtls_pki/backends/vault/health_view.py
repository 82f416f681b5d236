"""The health of a Vault as `status` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from mtls_pki.backends.vault.health import (
    Finding,
    IssuingCa,
    Severity,
    VaultHealth,
    read_health,
)
from mtls_pki.backends.vault.section import KEY
from mtls_pki.clusters.deviations import leaves_unlike_asked
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.text import printable
from mtls_pki.settings.model import Settings

_NOT_WELL = "red"
_SHOWN = 20
_STYLES = {
    Severity.WARNING: "yellow",
    Severity.CRITICAL: "red",
    Severity.INVALID_VERSION: "yellow",
    Severity.INSUFFICIENT_PERMISSIONS: "yellow",
}


@dataclass(frozen=True, kw_only=True)
class VaultStatus:
    """What a person asks of the Vault.

    Attributes:
        vault: its health, and the mount's.
        unlike: the leaves that are not what was asked for, one sentence each.
    """

    vault: VaultHealth
    unlike: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for ``status --json``."""
        return {**self.vault.to_json(), "leavesUnlikeAsked": list(self.unlike)}

    def view(self) -> RenderableType:
        """Return it as lines for a terminal."""
        return vault_view(self.vault, self.unlike)


def read_status(settings: Settings, directory: Path, evidence: Evidence) -> VaultStatus | None:
    """Read the stack's Vault; None where the stack file has no section for one."""
    if settings.issuing.section(KEY) is None:
        return None
    return VaultStatus(vault=read_health(settings, directory), unlike=leaves_unlike_asked(evidence))


def vault_view(health: VaultHealth, unlike: Sequence[str]) -> RenderableType:
    """Return what a person asks of the Vault; less grave findings are only counted.

    Args:
        health: of the Vault and the mount.
        unlike: the leaves that are not what was asked for.
    """
    head = f"vault {health.url}: {health.server or 'not read'}, mount {health.mount}"
    return Group(
        "",
        Text(head),
        *(Text(f"  {printable(problem)}", style=_NOT_WELL) for problem in health.problems),
        *map(_issuer, health.issuers),
        *(Text(f"  {printable(line)}", style="yellow") for line in unlike[:_SHOWN]),
        *([Text(f"  and {len(unlike) - _SHOWN} more")] if len(unlike) > _SHOWN else ()),
        *_findings(health),
    )


def _issuer(issuer: IssuingCa) -> Text:
    end = f"ends {issuer.not_after:%Y-%m-%d}" if issuer.not_after else "cannot be read"
    default = ", default" if issuer.default else ""
    # An anchor's key has no business in a Vault.
    well = issuer.has_key != issuer.anchor
    key = "" if well else ", with its key" if issuer.has_key else ", without key"
    kind = "anchor" if issuer.anchor else "issuing CA"
    text = f"  {kind} {printable(issuer.name)}: {end}{default}{key}"
    return Text(text, style="" if well else _NOT_WELL)


def _findings(health: VaultHealth) -> list[Text]:
    if not health.checked:
        if health.problems:
            return []
        return [Text("  health check: not run, for there is neither bao nor vault on PATH")]
    shown = [finding for finding in health.findings if finding.severity in _STYLES]
    well = sum(finding.severity is Severity.OK for finding in health.findings)
    hints = sum(finding.severity is Severity.INFORMATIONAL for finding in health.findings)
    return [
        Text(f"  health check: {len(shown)} to look at, {well} well, {hints} hints"),
        *map(_finding, shown),
    ]


def _finding(finding: Finding) -> Text:
    name = finding.severity.name.lower().replace("_", " ")
    text = f"    {name}: {finding.check} ({finding.place}): {printable(finding.message)}"
    return Text(text, style=_STYLES[finding.severity])
