"""Every alert fires for what it is about, and is silent a little before that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtls_pki.watch.alerts import ALERTS, PAGE, Alert, rules
from mtls_pki.watch.measures import MEASURES

ROOT = Path(__file__).parents[3]
HOUR, DAY = 3600, 86400
# When each case is judged: time begins at 0 in promtool, and nothing here means "never" by 0.
AT = 4 * DAY
STEP_SECONDS = 300
BY_NAME = {alert.name: alert for alert in ALERTS}
Series = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What makes one alert fire, what does not, and what it says."""

    firing: Series
    silent: Series
    labels: dict[str, str]
    summary: str
    always: Series = field(default_factory=dict)


D = 'domain="d"'
OLD = f'mtls_evidence_timestamp_seconds{{{D},cluster="dev"}}'
ANCHOR_END = f'mtls_anchor_not_after_timestamp_seconds{{{D},generation="g1",fingerprint="f"}}'
ISSUING = f'mtls_anchor_info{{{D},generation="g1",fingerprint="f",role="issuing"}}'
SHORTEST = f"mtls_rotation_shortest_seconds{{{D}}}"
CA_END = f'mtls_issuing_ca_not_after_timestamp_seconds{{{D},generation="g1",backend="ca"}}'
LIFETIME = f"mtls_leaf_longest_lifetime_seconds{{{D}}}"
APPLIED = f'mtls_stage_applied_timestamp_seconds{{{D},cluster="dev"}}'
PLACE = f'{D},cluster="dev",namespace="app",name="mesh-trust"'
ISTIO = f'{D},cluster="dev",namespace="app",name="istio-ca-root-cert"'
NEWEST = f'mtls_leaf_newest_issuance_timestamp_seconds{{{D},cluster="dev",generation="g1"}}'
ACCESS_END = f'mtls_client_access_not_after_timestamp_seconds{{{D},cluster="dev",machine="ci"}}'
RENEWAL = f'mtls_client_access_renewal_timestamp_seconds{{{D},cluster="dev",machine="ci"}}'


def stage(name: str) -> str:
    return f'mtls_rotation_stage{{{D},stage="{name}"}}'


def notice(name: str) -> str:
    return f'mtls_notices{{{D},notice="{name}"}}'


def leaves(state: str) -> str:
    return f'mtls_leaves{{{D},cluster="dev",namespace="app",generation="g1",state="{state}"}}'


CASES = {
    "MtlsExporterAbsent": Case(
        firing={},
        silent={f'mtls_evidence_up{{{D},cluster="dev"}}': 0},
        labels={},
        summary="Nobody watches the trust domain: no exporter is scraped.",
    ),
    "MtlsEvidenceOld": Case(
        firing={OLD: AT - 900},
        silent={OLD: AT - 600},
        labels={"domain": "d", "cluster": "dev"},
        summary="Cluster dev of d was not read for 15m 0s; nothing is known of it.",
    ),
    "MtlsAnchorEndsBeforeRotation": Case(
        always={SHORTEST: 2 * DAY, ISSUING: 1},
        firing={ANCHOR_END: AT + 3 * DAY},
        silent={ANCHOR_END: AT + 4 * DAY},
        labels={"domain": "d", "generation": "g1", "fingerprint": "f"},
        summary="Anchor g1 of d ends in 3d 0h 0m 0s, which is too soon for two whole rotations.",
    ),
    "MtlsIssuingCaEndsSoon": Case(
        always={LIFETIME: HOUR},
        firing={CA_END: AT + HOUR},
        silent={CA_END: AT + 2 * HOUR},
        labels={"domain": "d", "generation": "g1", "backend": "ca"},
        summary="The issuing CA of g1 of d ends in 1h 0m 0s, before two of its leaves in a row.",
    ),
    "MtlsIssuingCaEndsBeforeLeaf": Case(
        firing={notice("leaf-outlives-issuer"): 1},
        silent={notice("canary-services"): 1},
        labels={"domain": "d", "notice": "leaf-outlives-issuer"},
        summary="Leaves of d end after the CA that signed them, and stop working with it.",
    ),
    "MtlsOverlapOpen": Case(
        always={LIFETIME: DAY, stage("moving"): 1, stage("steady"): 0},
        firing={APPLIED: AT - 3 * DAY},
        silent={APPLIED: AT - 2 * DAY},
        labels={"domain": "d", "stage": "moving"},
        summary="A rotation of d is at moving for 3d 0h 0m 0s; somebody forgot the next step.",
    ),
    "MtlsBundleBehind": Case(
        firing={f'mtls_bundle_holds{{{PLACE},generation="g2"}}': 0},
        silent={f'mtls_bundle_holds{{{PLACE},generation="g2"}}': 1},
        labels={
            "domain": "d",
            "cluster": "dev",
            "namespace": "app",
            "name": "mesh-trust",
            "generation": "g2",
        },
        summary="dev/app mesh-trust does not hold g2 of d.",
    ),
    "MtlsIstiodBehind": Case(
        firing={f'mtls_bundle_holds{{{ISTIO},generation="g2"}}': 0},
        silent={f'mtls_bundle_holds{{{PLACE},generation="g2"}}': 0},
        labels={
            "domain": "d",
            "cluster": "dev",
            "namespace": "app",
            "name": "istio-ca-root-cert",
            "generation": "g2",
        },
        summary="istiod of dev hands out roots without g2 of d.",
    ),
    "MtlsStrangerTrusted": Case(
        firing={f"mtls_bundle_extra_anchors{{{PLACE}}}": 2},
        silent={f"mtls_bundle_extra_anchors{{{PLACE}}}": 0},
        labels={"domain": "d", "cluster": "dev", "namespace": "app", "name": "mesh-trust"},
        summary="dev/app mesh-trust trusts 2 certificates that d does not know.",
    ),
    "MtlsOutgoingAnchorIssues": Case(
        always={
            f'mtls_anchor_info{{{D},generation="g1",fingerprint="f",role="outgoing"}}': 1,
            APPLIED: AT - HOUR,
        },
        firing={NEWEST: AT - HOUR + 601},
        silent={NEWEST: AT - HOUR + 600},
        labels={"domain": "d", "cluster": "dev", "generation": "g1"},
        summary="Something in dev still issues below g1 of d, which is on its way out.",
    ),
    "MtlsRequestFailedNearEnd": Case(
        firing={
            f'mtls_requests_failed_near_end{{{D},cluster="dev",issuer="Issuer/ca"}}': 3,
        },
        silent={
            f'mtls_requests_failed_near_end{{{D},cluster="dev",issuer="Issuer/ca"}}': 0,
            f'mtls_requests_failed{{{D},cluster="dev",issuer="Issuer/ca"}}': 3,
        },
        labels={"domain": "d", "cluster": "dev", "issuer": "Issuer/ca"},
        summary="3 Certificates on Issuer/ca in dev could not be issued and end before "
        "cert-manager has tried twice more.",
    ),
    "MtlsLeafOverdue": Case(
        firing={leaves("overdue"): 1, leaves("expired"): 1},
        silent={leaves("due"): 1, leaves("live"): 1},
        labels={"domain": "d", "cluster": "dev", "namespace": "app"},
        summary="2 leaves in dev/app should have been renewed and were not.",
    ),
    "MtlsLeafMissing": Case(
        firing={notice("leaf-untrusted"): 1},
        silent={notice("certificate-missing"): 1},
        labels={"domain": "d"},
        summary="Certificates of d have no leaf that verifiers take.",
    ),
    "MtlsIssuerNotReady": Case(
        firing={notice("issuer-not-ready"): 1},
        silent={notice("leaf-missing"): 1},
        labels={"domain": "d", "notice": "issuer-not-ready"},
        summary="An issuer of d is not ready.",
    ),
    "MtlsClientAccessEnds": Case(
        always={ACCESS_END: AT + HOUR},
        firing={RENEWAL: AT - HOUR},
        silent={RENEWAL: AT - HOUR / 4},
        labels={"domain": "d", "cluster": "dev", "machine": "ci"},
        summary="The kubeconfig of ci for dev ends in 1h 0m 0s and was not renewed.",
    ),
}


def promtool(
    directory: Path, alert: Alert, test: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.fail("apt-get install prometheus", pytrace=False)
    # The others would be judged at thousands of times for nothing.
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules((alert,))))
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "tests": [test],
    }
    (directory / "test.yaml").write_text(yaml.safe_dump(document))
    return subprocess.run(
        [tool, "test", "rules", "test.yaml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def judged(alert: Alert, series: Series, expected: list[dict[str, Any]]) -> dict[str, Any]:
    """A test of promtool: what Prometheus makes of these series at one time."""
    steps = AT // STEP_SECONDS + 1
    return {
        "interval": f"{STEP_SECONDS}s",
        "input_series": [
            {"series": name, "values": f"{value}+0x{steps}"} for name, value in series.items()
        ],
        "alert_rule_test": [
            {"eval_time": f"{AT}s", "alertname": alert.name, "exp_alerts": expected}
        ],
    }


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(BY_NAME)


@pytest.mark.parametrize("name", CASES)
def test_it_fires(name: str, tmp_path: Path) -> None:
    case, alert = CASES[name], BY_NAME[name]
    expected = {
        "exp_labels": {**case.labels, "severity": alert.severity},
        "exp_annotations": {"summary": case.summary, "runbook": f"{PAGE}#{name.lower()}"},
    }
    done = promtool(tmp_path, alert, judged(alert, {**case.always, **case.firing}, [expected]))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_it_stays_silent(name: str, tmp_path: Path) -> None:
    case, alert = CASES[name], BY_NAME[name]
    done = promtool(tmp_path, alert, judged(alert, {**case.always, **case.silent}, []))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_an_alert_is_served() -> None:
    served = {measure.name for measure in MEASURES}
    for alert in ALERTS:
        assert set(re.findall(r"\bmtls_\w+", alert.expression)) <= served, alert.name


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_it_has_a_runbook(alert: Alert) -> None:
    page = (ROOT / PAGE).read_text()
    start = page.index(f"\n### {alert.name}\n")
    text = page[start:].split("\n### ")[1].split("\n## ")[0]
    assert len(text.split()) > 25, "what to do at three in the morning"


def object_text() -> str:
    """The same rules as an object of the Prometheus operator."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "mtls-pki", "namespace": "monitoring"},
        "spec": rules(),
    }
    return _text(document)


def _text(document: Mapping[str, Any]) -> str:
    head = "# Written from mtls_pki/watch/alerts.py by UPDATE_RULES=1 pytest tests/unit/watch.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("deploy/prometheus-rules.yaml", _text(rules())),
        ("deploy/prometheusrule.yaml", object_text()),
    ],
)
def test_the_shipped_files_are_the_table(file: str, text: str) -> None:
    path = ROOT / file
    if os.environ.get("UPDATE_RULES"):
        path.write_text(text)
    assert path.read_text() == text


def test_promtool_reads_the_shipped_file() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.fail("apt-get install prometheus", pytrace=False)
    done = subprocess.run(
        [tool, "check", "rules", ROOT / "deploy/prometheus-rules.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout
