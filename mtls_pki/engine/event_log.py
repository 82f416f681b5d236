"""What the engine writes down of a run as it goes: steps, and what the policy pack finds.

The digest of ``pulumi preview --json`` leaves policy events out (pulumi 3.259.0,
pkg/backend/display/json.go, ShowPreviewDigest), and a preview that people read has no digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mtls_pki.engine.digest import Step, steps_of
from mtls_pki.engine.findings import PolicyFinding, ordered
from mtls_pki.errors import CommandError
from mtls_pki.rotation.text import redacted

T = TypeVar("T")

ENVIRONMENT = {"PULUMI_DEBUG_COMMANDS": "true"}
"""Makes the CLI know ``--event-log``."""


def read_findings(event_log: Path) -> tuple[PolicyFinding, ...]:
    """Return the findings without private keys, mandatory ones first; empty without a log.

    Raises:
        CommandError: the log is not what the engine writes.
    """
    return ordered(_events(event_log, "policyEvent", _finding))


def read_steps(event_log: Path) -> tuple[Step, ...]:
    """Return what happens to each resource, the stack itself left out; empty without a log.

    Raises:
        CommandError: the log is not what the engine writes.
    """
    return steps_of(_events(event_log, "resourcePreEvent", _as_in_digest))


def _events(event_log: Path, kind: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
    if not event_log.exists():
        return []
    try:
        events = [json.loads(line) for line in event_log.read_text(encoding="utf-8").splitlines()]
        return [read(event[kind]) for event in events if kind in event]
    except (ValueError, KeyError, TypeError):
        raise CommandError(
            f"{event_log} is no event log of the engine; run a pulumi of the version in "
            "requirements.txt"
        ) from None


def _as_in_digest(event: dict[str, Any]) -> dict[str, Any]:
    """Return a step as the digest has it (sdk/go/common/apitype/events.go, StepEventMetadata)."""
    metadata: dict[str, Any] = event["metadata"]
    return {**metadata, "oldState": metadata.get("old"), "newState": metadata.get("new")}


def _finding(event: dict[str, Any]) -> PolicyFinding:
    return PolicyFinding(
        level=str(event["enforcementLevel"]),
        rule=str(event["policyName"]),
        resource=str(event.get("resourceUrn") or "stack").rpartition("::")[2],
        message=redacted(str(event["message"]).strip()),
    )
