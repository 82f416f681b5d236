"""Times and bytes as the API server records them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any


def parse_time(text: str | None) -> datetime | None:
    """Return the aware UTC time of a ``metav1.Time`` (``2026-11-23T12:00:00Z``), None for None."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def owned_since(metadata: Mapping[str, Any], *path: str) -> datetime | None:
    """Return when a manager that owns the field at ``path`` last changed anything of its fields.

    Every entry of ``managedFields`` belongs to one manager, and its time is the API server's, taken
    when that manager last added, changed or removed one of its fields. So the newest time among the
    managers that own the field is not earlier than the field's last change. It is later if the same
    manager has changed another of its fields since, which only makes a hold-down longer. The time
    of a manager that does not own the field says nothing about the field.

    Args:
        metadata: of a live object.
        path: of the field in ``fieldsV1``, such as ``"f:data", "f:ca.crt"``.
    """
    times = (
        parse_time(entry.get("time"))
        for entry in metadata.get("managedFields") or ()
        if _owns(entry.get("fieldsV1"), path)
    )
    return max((time for time in times if time is not None), default=None)


def _owns(fields: Any, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(fields, Mapping) or step not in fields:
            return False
        fields = fields[step]
    return True


def conditions(live: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the conditions of an object's status."""
    yield from live.get("status", {}).get("conditions") or ()


def condition(live: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of this type, None where there is none."""
    return next((found for found in conditions(live) if found.get("type") == kind), None)


def decode_pem(encoded: str | None) -> str:
    """Return the text in a base64 field such as ``status.certificate``, empty if it is damaged."""
    try:
        return base64.b64decode(encoded or "", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
