"""Times and bytes as the API server records them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates


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


ISSUING = "Issuing"
"""Condition of a Certificate while cert-manager issues it, and after it could not."""

# cert-manager, pkg/controller/certificates/trigger (shouldBackoffReissuingOnFailure): twice as long
# after each failure, and no longer than this.
_FIRST_WAIT, _LONGEST_WAIT = timedelta(hours=1), timedelta(hours=32)


def issuance_failure(found: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why the last issuance of a Certificate failed, by its conditions; None if not."""
    for each in found:
        if each.get("type") == ISSUING and each.get("reason") == "Failed":
            return str(each.get("message") or "cert-manager gives no reason")
    return None


def tried_again_at(status: Mapping[str, Any]) -> datetime | None:
    """Return when cert-manager itself tries a failed issuance again; None where it is not known."""
    failed_at = parse_time(status.get("lastFailureTime"))
    if failed_at is None:
        return None
    attempts = max(1, int(status.get("failedIssuanceAttempts") or 1))
    # More doublings than these are the longest wait anyhow.
    wait: timedelta = _FIRST_WAIT * 2 ** min(attempts - 1, 10)
    return failed_at + min(wait, _LONGEST_WAIT)


def decode_pem(encoded: str | None) -> str:
    """Return the text in a base64 field such as ``status.certificate``, empty if it is damaged."""
    try:
        return base64.b64decode(encoded or "", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def certificates_in(encoded: str | None) -> tuple[x509.Certificate, ...]:
    """Return the certificates in such a field, none if it is damaged."""
    try:
        return parse_certificates(decode_pem(encoded), origin="a status")
    except PkiError:
        return ()
