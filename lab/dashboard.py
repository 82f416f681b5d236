"""The Grafana dashboard, as code: ``deploy/dashboard.json`` is written from this table.

From top to bottom it answers: is anything about to break, where does the rotation stand, who lags
behind, what ends next. A panel is one line of the table.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataTransformerConfig,
    Panel,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Kind = Literal["number", "table", "lines", "timeline"]
_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_GOOD, _BAD = "green", "red"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One panel.

    Attributes:
        title: a question, or what is counted.
        expression: PromQL; ``$domain`` is the trust domain that was chosen.
        kind: how it is drawn.
        text: what it means, and what to do.
        unit: of Grafana.
        legend: of a series, by its labels.
        width: of 24.
        bad_from: from which value on a number is red; None where none is.
    """

    title: str
    expression: str
    kind: Kind
    text: str
    unit: str = "none"
    legend: str = ""
    width: int = 12
    bad_from: float | None = None


ROWS: tuple[tuple[str, tuple[Shown, ...]], ...] = (
    (
        "Is anything about to break?",
        (
            Shown(
                title="Age of the evidence",
                expression='time() - min(mtls_evidence_timestamp_seconds{domain="$domain"})',
                kind="number",
                text="Of the cluster that was read the longest ago. All else is as old as this.",
                unit="s",
                width=4,
                bad_from=600,
            ),
            Shown(
                title="Clusters that cannot be read",
                expression='count(mtls_evidence_up{domain="$domain"} == 0) or vector(0)',
                kind="number",
                text="Nothing is known of them; `mtls-pki status` says why.",
                width=4,
                bad_from=1,
            ),
            Shown(
                title="Leaves overdue or expired",
                expression="sum(mtls_leaves"
                '{domain="$domain",state=~"overdue|expired"}) or vector(0)',
                kind="number",
                text="cert-manager should have renewed them.",
                width=4,
                bad_from=1,
            ),
            Shown(
                title="Issuances that failed",
                expression='sum(mtls_requests_failed{domain="$domain"}) or vector(0)',
                kind="number",
                text="cert-manager waits an hour and longer: `mtls-pki reissue --failed`.",
                width=4,
                bad_from=1,
            ),
            Shown(
                title="Strangers in bundles",
                expression='sum(mtls_bundle_extra_anchors{domain="$domain"}) or vector(0)',
                kind="number",
                text="Certificates that are trusted and that nobody knows.",
                width=4,
                bad_from=1,
            ),
            Shown(
                title="Warnings",
                expression='sum(mtls_notices{domain="$domain"}) or vector(0)',
                kind="number",
                text="What `mtls-pki status` warns of.",
                width=4,
            ),
        ),
    ),
    (
        "Where does the rotation stand?",
        (
            Shown(
                title="Stage",
                expression='mtls_rotation_stage{domain="$domain"} == 1',
                kind="timeline",
                text="steady, spreading, spread, moving, moved, distrusting.",
                legend="{{stage}}",
                width=24,
            ),
            Shown(
                title="Anchors",
                expression='mtls_anchor_info{domain="$domain"}',
                kind="table",
                text="Who is trusted, and who issues.",
            ),
            Shown(
                title="Next step, at the earliest",
                expression="mtls_rotation_next_step_earliest_timestamp_seconds"
                '{domain="$domain"} * 1000',
                kind="table",
                text="1970 means: now.",
                unit="dateTimeAsIso",
            ),
            Shown(
                title="Leaves by anchor",
                expression='sum by (generation) (mtls_leaves{domain="$domain",state!="expired"})',
                kind="lines",
                text="The old anchor's go to 0 before it may leave.",
                legend="{{generation}}",
                width=24,
            ),
        ),
    ),
    (
        "Who lags behind?",
        (
            Shown(
                title="Bundles without an anchor",
                expression='mtls_bundle_holds{domain="$domain"} == 0',
                kind="table",
                text="Who verifies there refuses leaves of that anchor.",
            ),
            Shown(
                title="What the next step waits for",
                expression='mtls_laggards{domain="$domain"} > 0',
                kind="table",
                text="By the rule that refuses it; `mtls-pki status` has the names.",
            ),
            Shown(
                title="Open sessions by anchor",
                expression='sum by (service, generation) (mtls_peer_sessions{domain="$domain"})',
                kind="lines",
                text="They stay open when their anchor leaves.",
                legend="{{service}} {{generation}}",
                width=24,
            ),
        ),
    ),
    (
        "What ends next?",
        (
            Shown(
                title="Anchors",
                expression='mtls_anchor_not_after_timestamp_seconds{domain="$domain"} * 1000',
                kind="table",
                text="Begin a rotation before.",
                unit="dateTimeAsIso",
                width=8,
            ),
            Shown(
                title="Issuing CAs",
                expression='mtls_issuing_ca_not_after_timestamp_seconds{domain="$domain"} * 1000',
                kind="table",
                text="Renew them with the same key.",
                unit="dateTimeAsIso",
                width=8,
            ),
            Shown(
                title="Kubeconfigs of machines",
                expression="mtls_client_access_not_after_timestamp_seconds"
                '{domain="$domain"} * 1000',
                kind="table",
                text="mtls-pki access renew.",
                unit="dateTimeAsIso",
                width=8,
            ),
            Shown(
                title="First leaf to end, by namespace",
                expression="bottomk(20, mtls_leaf_earliest_not_after_timestamp_seconds"
                '{domain="$domain"}) * 1000',
                kind="table",
                text="The twenty that are nearest.",
                unit="dateTimeAsIso",
                width=24,
            ),
        ),
    ),
)
"""Rows of the dashboard, from top to bottom."""


def dashboard_json() -> str:
    """Return the dashboard as Grafana imports it."""
    made = (
        dashboard.Dashboard("mTLS trust")
        .uid("mtls-pki")
        .tags(["mtls", "pki"])
        .refresh("1m")
        .time("now-7d", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("domain")
            .label("trust domain")
            .datasource(_SOURCE)
            .query("label_values(mtls_evidence_up, domain)")
        )
    )
    # Grafana tells panels apart by number.
    numbers = itertools.count(1)
    for title, panels in ROWS:
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for shown in panels:
            made = made.with_panel(_DRAWN[shown.kind](shown, next(numbers)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _query(shown: Shown, *, instant: bool) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(shown.expression).ref_id("A").legend_format(shown.legend)
    if instant:
        return query.instant().format(PromQueryFormat.TABLE)
    return query.range()


def _thresholds(shown: Shown) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color=_GOOD)]
    if shown.bad_from is not None:
        steps.append(Threshold(value=shown.bad_from, color=_BAD))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


_Drawn = TypeVar("_Drawn", stat.Panel, table.Panel, series.Panel, statetimeline.Panel)


def _laid(panel: _Drawn, shown: Shown, number: int, *, height: int, instant: bool) -> _Drawn:
    """Give a panel what each of them says, whatever draws it."""
    return (
        panel.id(number)
        .title(shown.title)
        .description(shown.text)
        .datasource(_SOURCE)
        .span(shown.width)
        .height(height)
        .with_target(_query(shown, instant=instant))
    )


def _number(shown: Shown, number: int) -> Builder[Panel]:
    return (
        _laid(stat.Panel(), shown, number, height=4, instant=True)
        .unit(shown.unit)
        .color_mode(BigValueColorMode.BACKGROUND)
        .thresholds(_thresholds(shown))
    )


def _table(shown: Shown, number: int) -> Builder[Panel]:
    hidden = dict.fromkeys(("Time", "__name__", "domain", "instance", "job"), True)
    return (
        _laid(table.Panel(), shown, number, height=7, instant=True)
        .unit(shown.unit)
        .no_value("none")
        .with_transformation(
            DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
        )
    )


def _lines(shown: Shown, number: int) -> Builder[Panel]:
    return _laid(series.Panel(), shown, number, height=7, instant=False).unit(shown.unit)


def _timeline(shown: Shown, number: int) -> Builder[Panel]:
    return _laid(statetimeline.Panel(), shown, number, height=5, instant=False)


_DRAWN: dict[Kind, Callable[[Shown, int], Builder[Panel]]] = {
    "number": _number,
    "table": _table,
    "lines": _lines,
    "timeline": _timeline,
}
