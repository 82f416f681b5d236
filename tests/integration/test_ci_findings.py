"""What the policy pack says reaches the page, from the event log of the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtls_pki.engine.digest import read_preview
from mtls_pki.engine.event_log import ENVIRONMENT, read_findings
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.review.page import review_page
from mtls_pki.review.review import review
from tests.integration.support.policy import WITH_PACK
from tests.integration.test_policy import Violations
from tests.integration.test_policy import violations as violations

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("violations")]


@pytest.mark.parametrize(
    ("broken", "expected", "answer"),
    [
        ("nothing", [], "**No anchor changes its role.**"),
        (
            "key-algorithm",
            [("mandatory", "key-algorithm", "g1-key")],
            "**The policy pack forbids it.**",
        ),
    ],
)
def test_a_finding_is_read_beside_the_digest_and_leads_the_page(
    violations: Violations,
    tmp_path: Path,
    broken: str,
    expected: list[tuple[str, str, str]],
    answer: str,
) -> None:
    log = tmp_path / "events"
    done = violations.engine.run(
        *("preview", "--stack", "dev", "--json", *WITH_PACK, "--event-log", str(log)),
        extra_environment={"BREAK": broken, **ENVIRONMENT},
    )
    found = read_findings(log)
    assert (done.returncode == 0) is (not expected)
    assert [(each.level, each.rule, each.resource) for each in found] == expected
    # The digest alone would not tell.
    assert "key-algorithm" not in done.stdout
    reviewed = review(read_preview(done.stdout), stack="dev", findings=found)
    page = markdown_page(review_page(reviewed))
    assert answer in page.partition("###")[0]
    assert ("  - PrivateKey g1-key: its key is P-224" in page) is bool(expected)
    assert ("  - **Do:** choose an allowed algorithm" in page) is bool(expected)
