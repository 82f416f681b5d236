"""What is said of a machine's access, by the ends of what it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mtls_pki.clusters.machines import Row

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORKS = Row(
    machine="job",
    cluster="eu",
    user="job",
    newest="k2",
    key="k2",
    not_after=NOW + 10 * HOUR,
    renew_from=NOW + 2 * HOUR,
    authority_not_after=NOW + 1000 * HOUR,
)


@pytest.mark.parametrize(
    ("row", "due"),
    [
        (WORKS, ""),
        (replace(WORKS, problem="forbidden"), "not read: forbidden"),
        (
            replace(WORKS, key=None, not_after=None, renew_from=None),
            "none yet: mtls-pki access issue job",
        ),
        (replace(WORKS, not_after=NOW), "ended: mtls-pki access renew job"),
        (replace(WORKS, key="k1"), "works; k2 waits: mtls-pki access issue job"),
        (replace(WORKS, renew_from=NOW), "renew now: mtls-pki access renew job"),
        (
            replace(WORKS, authority_not_after=NOW + HOUR),
            "the cluster's CA in its kubeconfig ends first: `pulumi up` takes the next one",
        ),
    ],
)
def test_what_is_due(row: Row, due: str) -> None:
    assert row.due(NOW) == due
    assert row.state(NOW) == (due or "works")
    assert row.to_json(NOW)["state"] == (due or "works")
