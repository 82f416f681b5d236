"""What the guard hands on to the review page: one line, read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mtls_pki.rotation.guard_report import (
    MARK,
    GuardReportError,
    Subject,
    observed_issuers,
    read_report,
    report_line,
)
from mtls_pki.rotation.report import REPORT_SCHEMA, laggard_lines, refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.pki import material
from tests.unit.rotation.cases import (
    NOW,
    bundle,
    cluster,
    evidence,
    leaf,
    place,
    request,
    stage,
)

SPREADING = stage(g1="issuing", g2="incoming")
PROMOTED = stage(g1="outgoing", g2="issuing")


def refused() -> Verdict:
    """A promotion that bundles without the new anchor keep from being made."""
    there = evidence(
        cluster(
            bundles=[bundle("g1", at=place(namespace=f"n{number}")) for number in range(12)],
            leaves=[leaf("web", "g1")],
            gate=SPREADING,
        )
    )
    return judge(request(SPREADING, PROMOTED), there, now=NOW, mode=Mode.PREVIEW)


def test_what_is_read_is_what_was_judged() -> None:
    verdict = refused()
    line = report_line((verdict,), Subject(stage=PROMOTED, echoes=("as in east",)), at=NOW)
    report = read_report(f"{line}\n")
    assert report.stage == PROMOTED
    assert report.echoes == ("as in east",)
    (judgement,) = report.judgements
    assert judgement.message == refusal_message(verdict)
    assert verdict.refusals
    for reason, refusal in zip(judgement.reasons, verdict.refusals, strict=True):
        assert reason.rule == refusal.rule.identifier
        assert reason.sentence == refusal.rule.sentence
        assert reason.seen == refusal.seen
        assert reason.remedy == refusal.remedy
        assert reason.earliest == refusal.earliest
        assert reason.laggards == tuple(laggard_lines(refusal.laggards))
        assert len(reason.laggards) == 11
        assert reason.laggards[-1] == "3 more"


def test_a_person_sees_one_line_that_a_large_domain_does_not_make_endless() -> None:
    verdict = refused()
    (refusal,) = verdict.refusals
    many = replace(verdict, refusals=(replace(refusal, laggards=refusal.laggards * 1_000),))
    line = report_line((many,), Subject(stage=PROMOTED), at=NOW)
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 20_000
    assert json.loads(line.removeprefix(MARK))["schema"] == REPORT_SCHEMA
    assert (
        read_report(line).judgements[0].reasons[0].laggards[-1]
        == f"{len(refusal.laggards) * 1_000 - 10} more"
    )


def test_keys_that_are_yet_to_be_made_have_no_fingerprint() -> None:
    new = TrustStage(
        anchors={**SPREADING.anchors, "g3": replace(SPREADING.anchors["g2"], fingerprint=None)},
        canaries={"app/web": "g2"},
    )
    assert read_report(report_line((), Subject(stage=new), at=NOW)).stage == new


def test_a_private_key_in_a_message_of_a_cluster_does_not_damage_the_report() -> None:
    pem = material.key_pem("stolen")
    for text in (pem, pem[: pem.rindex("-----END")]):
        verdict = replace(refused(), unread=(("west", text), ("east", "away")))
        line = report_line((verdict,), Subject(stage=PROMOTED), at=NOW)
        assert "PRIVATE KEY-----" not in line
        assert not [each for each in pem.splitlines()[1:-1] if each in line]
        assert read_report(line).judgements[0].unread == ("west", "east")


def test_a_report_of_a_newer_version_is_told_and_not_guessed_at() -> None:
    line = report_line((refused(),), Subject(stage=PROMOTED), at=NOW)
    newer = line.replace(REPORT_SCHEMA, "mtls-pki/rotation-report/v9")
    with pytest.raises(GuardReportError, match=r"v9'.*use the mtls-pki that the stack's program"):
        read_report(newer)
    # Keys that are added within a version are no other version.
    assert read_report(line.replace('"upRefuses"', '"more":{},"upRefuses"'))


@pytest.mark.parametrize(
    "rest", ["", "{", "[]", "1", '{"kind":"guard"}', f'{{"schema":"{REPORT_SCHEMA}"}}', "[" * 9**5]
)
def test_a_damaged_report_is_told(rest: str) -> None:
    with pytest.raises(GuardReportError, match="cannot be read; preview again"):
        read_report(MARK + rest)


def test_an_issuer_is_known_by_what_it_signed_and_not_by_its_name() -> None:
    named = replace(leaf("a", "g1"), issuer="Issuer/mesh-ca-g2-i1")
    both = replace(leaf("b", "g1"), issuer="Issuer/follows")
    moved = replace(leaf("c", "g2"), issuer="Issuer/follows")
    strange = replace(leaf("d", "g9"), issuer="Issuer/mesh-ca-g1-i1")
    lost = replace(leaf("e", problem="?"), issuer="Issuer/lost")
    leaves = (named, both, moved, strange, lost)
    assert observed_issuers(leaves, (SPREADING,)) == {"mesh-ca-g2-i1": "g1"}
    # A generation that an earlier stage knows and the new one does not.
    former = stage(g9="outgoing")
    assert observed_issuers(leaves, (SPREADING, former))["mesh-ca-g1-i1"] == "g9"
