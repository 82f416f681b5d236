"""When cert-manager tries again what it could not issue, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtls_pki.clusters.recorded import issuance_failure, tried_again_at

FAILED_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "hours"), [(None, 1), (1, 1), (2, 2), (5, 16), (6, 32), (7, 32), (4000, 32)]
)
def test_the_wait_doubles_up_to_a_day_and_a_third(attempts: int | None, hours: int) -> None:
    status = {"lastFailureTime": "2026-11-23T12:00:00Z", "failedIssuanceAttempts": attempts}
    assert tried_again_at(status) == FAILED_AT + timedelta(hours=hours)


def test_what_never_failed_has_no_time() -> None:
    assert tried_again_at({}) is None


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([], None),
        ([{"type": "Ready", "reason": "Failed"}], None),
        ([{"type": "Issuing", "status": "True", "reason": "Renewing"}], None),
        ([{"type": "Issuing", "status": "False", "reason": "Failed", "message": "no"}], "no"),
        ([{"type": "Issuing", "reason": "Failed"}], "cert-manager gives no reason"),
    ],
)
def test_why_it_failed(conditions: list[dict[str, Any]], why: str | None) -> None:
    assert issuance_failure(conditions) == why
