"""What the policy pack says reaches the page, from the event log of the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.findings import ENVIRONMENT, read_findings
from tests.integration.support.policy import WITH_PACK
from tests.integration.test_policy import Violations
from tests.integration.test_policy import violations as violations

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("violations")]


@pytest.mark.parametrize(
    ("broken", "finding"),
    [("nothing", ""), ("key-algorithm", "mandatory key-algorithm: g1-key: ")],
)
def test_a_finding_is_read_beside_the_digest(
    violations: Violations, tmp_path: Path, broken: str, finding: str
) -> None:
    log = tmp_path / "events"
    done = violations.engine.run(
        *("preview", "--stack", "dev", "--json", *WITH_PACK, "--event-log", str(log)),
        extra_environment={"BREAK": broken, **ENVIRONMENT},
    )
    found = read_findings(log)
    assert (done.returncode == 0) is (not finding)
    assert len(found) == bool(finding)
    assert "".join(found).startswith(finding)
    # The digest alone would not tell.
    assert "key-algorithm" not in done.stdout
