"""The alerts: one table, from which the rules file and the PrometheusRule are written.

Every threshold is relative to what it is about: a leaf's own lifetime, the domain's hold-down. A
number of days is right for one lifetime and wrong for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PAGE = "docs/monitoring.md"
GROUP = "mtls-pki"

CRITICAL, WARNING = "critical", "warning"
_EVIDENCE_SECONDS = 600
# A rotation that is as old as this many longest leaves was forgotten.
_OPEN_LIFETIMES = 2


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: of the alert, and the heading of its runbook in lower case.
        severity: ``critical`` for what breaks connections or will within a leaf's lifetime.
        summary: one sentence, with Prometheus' templates.
        expression: PromQL that has a sample for each thing that is wrong.
        lasting: how long it must hold; empty: at once.
    """

    name: str
    severity: str
    summary: str
    expression: str
    lasting: str = ""


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="MtlsExporterAbsent",
        severity=CRITICAL,
        summary="Nobody watches the trust domain: no exporter is scraped.",
        expression="absent(mtls_evidence_up)",
        lasting="5m",
    ),
    Alert(
        name="MtlsEvidenceOld",
        severity=CRITICAL,
        summary="Cluster {{ $labels.cluster }} of {{ $labels.domain }} was not read for "
        "{{ $value | humanizeDuration }}; nothing is known of it.",
        expression=f"time() - mtls_evidence_timestamp_seconds > {_EVIDENCE_SECONDS}",
    ),
    Alert(
        name="MtlsAnchorEndsBeforeRotation",
        severity=CRITICAL,
        summary="Anchor {{ $labels.generation }} of {{ $labels.domain }} ends in "
        "{{ $value | humanizeDuration }}, which is too soon for two whole rotations.",
        expression="(mtls_anchor_not_after_timestamp_seconds - time())"
        ' * on (domain, generation, fingerprint) mtls_anchor_info{role="issuing"}'
        " < on (domain) group_left () 2 * mtls_rotation_shortest_seconds",
    ),
    Alert(
        name="MtlsIssuingCaEndsSoon",
        severity=CRITICAL,
        summary="The issuing CA of {{ $labels.generation }} of {{ $labels.domain }} ends in "
        "{{ $value | humanizeDuration }}, before two of its leaves in a row.",
        expression="mtls_issuing_ca_not_after_timestamp_seconds - time()"
        " < on (domain) group_left () 2 * mtls_leaf_longest_lifetime_seconds",
    ),
    Alert(
        name="MtlsIssuingCaEndsBeforeLeaf",
        severity=CRITICAL,
        summary="Leaves of {{ $labels.domain }} end after the CA that signed them, and stop "
        "working with it.",
        expression='mtls_notices{notice="leaf-outlives-issuer"} > 0',
    ),
    Alert(
        name="MtlsOverlapOpen",
        severity=WARNING,
        summary="A rotation of {{ $labels.domain }} is at {{ $labels.stage }} for "
        "{{ $value | humanizeDuration }}; somebody forgot the next step.",
        expression="(time() - max by (domain) (mtls_stage_applied_timestamp_seconds))"
        ' * on (domain) group_right () (mtls_rotation_stage{stage!="steady"} == 1)'
        f" > on (domain) group_left () {_OPEN_LIFETIMES} * mtls_leaf_longest_lifetime_seconds",
    ),
    Alert(
        name="MtlsBundleBehind",
        severity=CRITICAL,
        summary="{{ $labels.cluster }}/{{ $labels.namespace }} {{ $labels.name }} does not hold "
        "{{ $labels.generation }} of {{ $labels.domain }}.",
        expression='mtls_bundle_holds{name!~"istio.*"} == 0',
        lasting="15m",
    ),
    Alert(
        name="MtlsIstiodBehind",
        severity=CRITICAL,
        summary="istiod of {{ $labels.cluster }} hands out roots without {{ $labels.generation }} "
        "of {{ $labels.domain }}.",
        expression='mtls_bundle_holds{name=~"istio.*"} == 0',
        lasting="15m",
    ),
    Alert(
        name="MtlsStrangerTrusted",
        severity=CRITICAL,
        summary="{{ $labels.cluster }}/{{ $labels.namespace }} {{ $labels.name }} trusts "
        "{{ $value }} certificates that {{ $labels.domain }} does not know.",
        expression="mtls_bundle_extra_anchors > 0",
    ),
    Alert(
        name="MtlsOutgoingAnchorIssues",
        severity=CRITICAL,
        summary="Something in {{ $labels.cluster }} still issues below {{ $labels.generation }} "
        "of {{ $labels.domain }}, which is on its way out.",
        expression="(mtls_leaf_newest_issuance_timestamp_seconds"
        " - on (domain, cluster) group_left () mtls_stage_applied_timestamp_seconds)"
        " * on (domain, generation) group_left ()"
        ' max by (domain, generation) (mtls_anchor_info{role=~"outgoing|compromised"})'
        " > 600",
    ),
    Alert(
        name="MtlsRequestFailedNearEnd",
        severity=CRITICAL,
        summary="{{ $value }} Certificates on {{ $labels.issuer }} in {{ $labels.cluster }} could "
        "not be issued and end before cert-manager has tried twice more.",
        expression="mtls_requests_failed_near_end > 0",
    ),
    Alert(
        name="MtlsLeafOverdue",
        severity=WARNING,
        summary="{{ $value }} leaves in {{ $labels.cluster }}/{{ $labels.namespace }} should have "
        "been renewed and were not.",
        expression="sum by (domain, cluster, namespace)"
        ' (mtls_leaves{state=~"overdue|expired"}) > 0',
        lasting="5m",
    ),
    Alert(
        name="MtlsLeafMissing",
        severity=CRITICAL,
        summary="Certificates of {{ $labels.domain }} have no leaf that verifiers take.",
        expression='sum by (domain) (mtls_notices{notice=~"leaf-missing|leaf-untrusted"}) > 0',
        lasting="10m",
    ),
    Alert(
        name="MtlsIssuerNotReady",
        severity=CRITICAL,
        summary="An issuer of {{ $labels.domain }} is not ready.",
        expression='mtls_notices{notice="issuer-not-ready"} > 0',
        lasting="10m",
    ),
    Alert(
        name="MtlsClientAccessEnds",
        severity=WARNING,
        summary="The kubeconfig of {{ $labels.machine }} for {{ $labels.cluster }} ends in "
        "{{ $value | humanizeDuration }} and was not renewed.",
        expression="(mtls_client_access_not_after_timestamp_seconds - time())"
        " and (mtls_client_access_renewal_timestamp_seconds + 0.2 *"
        " (mtls_client_access_not_after_timestamp_seconds"
        " - mtls_client_access_renewal_timestamp_seconds) < time())",
    ),
)
"""Every alert, in the order of the page."""


def rules(alerts: Sequence[Alert] = ALERTS) -> dict[str, Any]:
    """Return the rules as Prometheus reads them from a file, and as a PrometheusRule has them."""
    return {"groups": [{"name": GROUP, "rules": [_rule(each) for each in alerts]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        **({"for": alert.lasting} if alert.lasting else {}),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "runbook": f"{PAGE}#{alert.name.lower()}",
        },
    }
