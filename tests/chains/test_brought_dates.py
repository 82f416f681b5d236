"""A brought chain that starts to issue is refused if and only if a verifier will refuse its leaf.

At the two dates that matter: now, and the last moment of the first leaf.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence, LeafObservation
from mtls_pki.rotation.guards.dates import within_dates
from mtls_pki.rotation.rules import Refusal
from mtls_pki.settings.judgement import asked_stage
from mtls_pki.settings.model import Settings
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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A stack whose brought anchor issues, before anything of it is applied."""

    root: str
    issuing: str
    settings: Settings
    now: datetime

    def refusals(self, *leaves: LeafObservation, applied: bool = False) -> list[Refusal]:
        """What the guard says, with these leaves alive, before or after the first update."""
        cluster = ClusterEvidence(cluster="dev", observed_at=self.now, leaves=leaves)
        evidence = Evidence(observed_at=self.now, clusters=(cluster,))
        new = asked_stage(self.settings, evidence)
        request = change_request(self.settings, evidence, old=new if applied else None, new=new)
        return within_dates(request, evidence, self.now)


def asked(case: str, directory: Path) -> Asked:
    now = datetime.now(UTC).replace(microsecond=0)
    root_from, root_to, ca_from, ca_to, lifetime = CASES[case]
    root = material.root("g1", validity=Validity(now + root_from * DAY, now + root_to * DAY))
    issuing = material.issuing(
        "corporate",
        root_pem=root,
        root_key=material.key_pem("g1"),
        validity=Validity(now + ca_from * DAY, now + ca_to * DAY),
    )
    (directory / "root.pem").write_text(root)
    (directory / "issuing.pem").write_text(issuing)
    pair = {"certificate": "issuing.pem", "privateKey": material.key_pem("corporate")}
    settings = load(
        {
            "anchors.g1": {"role": "issuing", "certificate": "root.pem", "issuingCa": pair},
            "issuing.leaf": {"duration": f"{lifetime * 24}h", "renewBefore": "24h"},
        },
        directory=directory,
        secret=["anchors"],
    )
    return Asked(root=root, issuing=issuing, settings=settings, now=now)


@pytest.mark.parametrize("case", CASES)
def test_the_dates_are_judged_as_verifiers_judge_them(case: str, tmp_path: Path) -> None:
    stack = asked(case, tmp_path)
    end = stack.now + CASES[case][-1] * DAY
    leaf = material.leaf(
        stack.issuing,
        material.key("corporate"),
        dns=HOST,
        validity=Validity(stack.now - DAY / 24, end),
    )
    refused = [
        f"{judge} at {at:%Y-%m-%d}"
        for at in (stack.now, end - timedelta(minutes=1))
        for judge in JUDGES
        if not VERIFIERS[judge](leaf + stack.issuing, stack.root, HOST, at).accepted
    ]
    told = stack.refusals()
    assert bool(told) == bool(refused), f"{refused}: {told}"


def test_what_issues_already_is_announced_and_not_refused(tmp_path: Path) -> None:
    """Every update would be refused for as long as its CA is near its end."""
    stack = asked("the issuing CA ends before the leaf", tmp_path)
    assert stack.refusals()
    assert not stack.refusals(applied=True)
    # Also where the record was lost: a live leaf tells that it issues.
    leaf = LeafObservation(
        cluster="dev",
        namespace="app",
        name="web",
        kind="Certificate",
        declared=True,
        signers=frozenset({spki_sha256(material.parsed(stack.root))}),
        issuer="ClusterIssuer/mtls-ca-g1-i1",
        not_before=stack.now - DAY,
        not_after=stack.now + DAY,
    )
    assert not stack.refusals(leaf)
    assert stack.refusals(replace(leaf, not_after=stack.now - DAY / 2))
