"""What the policy pack says at a preview.

The digest of ``pulumi preview --json`` leaves policy events out (pulumi 3.259.0,
pkg/backend/display/json.go, ShowPreviewDigest), so they are read from the engine's event log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mtls_pki.engine.findings import PolicyFinding, ordered
from mtls_pki.errors import CommandError
from mtls_pki.rotation.text import redacted

ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
"""Makes the CLI know ``--event-log``."""


def read_findings(event_log: Path) -> tuple[PolicyFinding, ...]:
    """Return the findings without private keys, mandatory ones first; empty without a log.

    Raises:
        CommandError: the log is not what the engine writes.
    """
    if not event_log.exists():
        return ()
    try:
        events = [json.loads(line) for line in event_log.read_text(encoding="utf-8").splitlines()]
        found = [_finding(event["policyEvent"]) for event in events if "policyEvent" in event]
    except (ValueError, KeyError, TypeError):
        raise CommandError(
            f"{event_log} is no event log of the engine; run a pulumi of the version in "
            "requirements.txt"
        ) from None
    return ordered(found)


def _finding(event: dict[str, Any]) -> PolicyFinding:
    return PolicyFinding(
        level=str(event["enforcementLevel"]),
        rule=str(event["policyName"]),
        resource=str(event.get("resourceUrn") or "stack").rpartition("::")[2],
        message=redacted(str(event["message"]).strip()),
    )
