"""One judgement for `check`, previews and updates: what is known of keys, and what came before."""

from __future__ import annotations

import pytest

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.evidence import ClusterUnreachable, Evidence
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.settings.judgement import (
    DomainJudge,
    asked_stage,
    decisive,
    known_fingerprints,
    recorded_stages,
)
from tests.unit.rotation.cases import bundle, cluster, evidence, fingerprint, leaf, place, stage
from tests.unit.settings.configuration import G2, load

TWO = {"clusters": {"eu": {"context": "eu"}, "us": {"context": "us"}}}
STEADY = stage(g1="issuing")
SPREAD = stage(g1="issuing", g2="incoming")


def there(**recorded: TrustStage | str | None) -> Evidence:
    """Clusters with their records; a text for one that cannot be read."""
    return evidence(
        *(
            ClusterUnreachable(cluster=name, error=found)
            if isinstance(found, str)
            else cluster(
                name,
                bundles=[bundle("g1", at=place(name, "app"))],
                leaves=[leaf("web", "g1", cluster=name)],
                gate=found,
            )
            for name, found in recorded.items()
        )
    )


def test_an_anchor_is_known_by_record_or_by_the_name_of_its_compromise() -> None:
    given = "ab" * 32
    settings = load(
        {
            "anchors.g0": G2
            | {"role": "compromised", "fingerprint": given, "acceptOutage": True}
            | {"commonName": "root-g0.example.org"},
            "anchors.g2": G2,
        }
    )
    known = known_fingerprints(settings, there(dev=STEADY))
    assert known == {"g0": given, "g1": fingerprint("g1")}
    asked = asked_stage(settings, there(dev=STEADY))
    assert {name: anchor.fingerprint for name, anchor in asked.anchors.items()} == {
        "g1": fingerprint("g1"),
        "g0": given,
        "g2": None,
    }
    made = asked_stage(settings, there(dev=STEADY), {"g1": None, "g2": fingerprint("g2")})
    assert made.anchors["g1"].fingerprint is None
    assert made.anchors["g2"].fingerprint == fingerprint("g2")


def test_of_two_records_the_first_cluster_s_identity_counts() -> None:
    seen = there(eu=SPREAD, us=STEADY)
    assert recorded_stages(seen) == (SPREAD, STEADY)
    assert known_fingerprints(load(TWO), seen)["g2"] == fingerprint("g2")


@pytest.mark.parametrize(
    ("seen", "remembered", "before"),
    [
        (there(eu=SPREAD, us=STEADY), SPREAD, STEADY),
        (there(eu=SPREAD, us=None), None, None),
        (there(eu=SPREAD, us=None), STEADY, STEADY),
        (there(eu=SPREAD, us="away"), None, SPREAD),
        (there(eu=SPREAD, us="away"), STEADY, STEADY),
        (there(eu="away", us="away"), None, None),
    ],
    ids=["recorded", "joins", "record lost", "away", "away but remembered", "nothing"],
)
def test_where_a_change_starts(
    seen: Evidence, remembered: TrustStage | None, before: TrustStage | None
) -> None:
    judge = DomainJudge(load(TWO), seen, Mode.UP)
    assert judge.stage_before("us", remembered=remembered) == before


def test_equal_changes_are_judged_once() -> None:
    settings, seen = load(TWO), there(eu=STEADY, us=STEADY)
    judge = DomainJudge(settings, seen, Mode.UP)
    asked = asked_stage(settings, seen)
    (verdict,) = judge.verdicts(asked)
    assert judge.verdict(STEADY, asked) is verdict
    assert len(DomainJudge(settings, there(eu=STEADY, us=SPREAD), Mode.UP).verdicts(asked)) == 2


def test_the_verdict_that_stops_an_update_decides() -> None:
    promoted = TWO | {
        "anchors.g1.role": "outgoing",
        "anchors.g2": G2 | {"role": "issuing", "validFrom": "2026-11-01T00:00:00Z"},
    }
    settings, seen = load(promoted), there(eu=SPREAD, us=STEADY)
    verdicts = DomainJudge(settings, seen, Mode.UP).verdicts(asked_stage(settings, seen))
    assert decisive(verdicts).exit_code is ExitStatus.BLOCKED
    assert decisive(verdicts[::-1]).exit_code is ExitStatus.BLOCKED
