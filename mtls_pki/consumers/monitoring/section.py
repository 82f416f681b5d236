"""The section ``consumers.monitoring`` of the stack file."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from mtls_pki.settings.section import Section
from mtls_pki.settings.types import DnsLabel, Duration, ObjectName

NAME = "monitoring"
"""Of the section, below ``consumers``."""


class PrometheusSettings(Section):
    """The pods that may scrape, and how they authenticate."""

    namespace: DnsLabel = "monitoring"
    pod_labels: dict[str, str] = Field(
        default_factory=lambda: {"app.kubernetes.io/name": "prometheus"}, min_length=1
    )
    # Of `services`, in the exporter's namespace: with its leaf the operator's Prometheus scrapes.
    # None: no ServiceMonitor is declared.
    client: str | None = None
    # By which a Prometheus of the operator selects the ServiceMonitor.
    monitor_labels: dict[str, str] = Field(default_factory=dict)


class MonitoringSettings(Section):
    """Where the exporter runs, and what it serves with."""

    cluster: DnsLabel
    # Of `services`: its leaf is the server's, its namespace the exporter's.
    service: str
    image: str = Field(min_length=1)
    interval: Duration = timedelta(minutes=1)
    # A Secret of that namespace: cluster -> a kubeconfig for it, for every other cluster.
    kubeconfigs: ObjectName | None = None
    prometheus: PrometheusSettings = PrometheusSettings()
