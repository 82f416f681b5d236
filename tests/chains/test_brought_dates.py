"""A brought chain that starts to issue is refused if and only if a verifier will refuse its leaf.

At the two dates that matter: now, and the last moment of the first leaf.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtls_pki.pki.certificates import Validity
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.dates import within_dates
from mtls_pki.settings.judgement import asked_stage
from mtls_pki.settings.trust_domain import change_request
from tests.chains.verifiers import VERIFIERS
from tests.unit.pki import material
from tests.unit.settings.configuration import load

HOST = "web.app.svc.cluster.local"
JUDGES = ("openssl", "gnutls", "go")
DAY = timedelta(days=1)

# Days from now: root from and to, issuing CA from and to, lifetime of a leaf.
CASES = {
    "all is well": (-100, 400, -90, 390, 5),
    "the leaf ends with its issuing CA": (-100, 400, -90, 5, 5),
    "the issuing CA ends before the leaf": (-100, 400, -90, 4, 5),
    "the root ends before the leaf": (-100, 4, -90, 4, 5),
    "the issuing CA has ended": (-100, 400, -90, -1, 5),
    "the root has ended": (-100, -1, -90, -2, 5),
    "the root is to come": (1, 400, 2, 390, 5),
    "the issuing CA is to come": (-10, 400, 1, 390, 5),
    "a short leaf before a near end": (-100, 400, -90, 4, 3),
}


@pytest.mark.parametrize("case", CASES)
def test_the_dates_are_judged_as_verifiers_judge_them(case: str, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    root_from, root_to, ca_from, ca_to, lifetime = CASES[case]
    root = material.root("g1", validity=Validity(now + root_from * DAY, now + root_to * DAY))
    issuing = material.issuing(
        "corporate",
        root_pem=root,
        root_key=material.key_pem("g1"),
        validity=Validity(now + ca_from * DAY, now + ca_to * DAY),
    )
    leaf = material.leaf(
        issuing,
        material.key("corporate"),
        dns=HOST,
        validity=Validity(now - DAY / 24, now + lifetime * DAY),
    )
    dates = (now, now + lifetime * DAY - timedelta(minutes=1))
    refused = [
        f"{judge} at {at:%Y-%m-%d}"
        for at in dates
        for judge in JUDGES
        if not VERIFIERS[judge](leaf + issuing, root, HOST, at).accepted
    ]

    (tmp_path / "root.pem").write_text(root)
    (tmp_path / "issuing.pem").write_text(issuing)
    settings = load(
        {
            "anchors.g1": {
                "role": "issuing",
                "certificate": "root.pem",
                "issuingCa": {
                    "certificate": "issuing.pem",
                    "privateKey": material.key_pem("corporate"),
                },
            },
            "issuing.leaf": {"duration": f"{lifetime * 24}h", "renewBefore": "24h"},
        },
        directory=tmp_path,
        secret=["anchors"],
    )
    evidence = Evidence(observed_at=now, clusters=())
    asked = asked_stage(settings, evidence)
    request = change_request(settings, evidence, old=None, new=asked)
    told = within_dates(request, evidence, now)
    assert bool(told) == bool(refused), f"{refused}: {told}"
