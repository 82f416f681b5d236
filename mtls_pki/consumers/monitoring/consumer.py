"""The exporter's row of the table of consumers: it takes trust and a leaf, as a server does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.monitoring.names import monitoring_settings
from mtls_pki.consumers.monitoring.rules import (
    monitoring_has_an_interval,
    monitoring_is_in_a_cluster_of_the_stack,
    monitoring_reaches_every_cluster,
    monitoring_serves_with_leaves_of_the_stack,
)
from mtls_pki.consumers.monitoring.section import NAME, MonitoringSettings
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings

if TYPE_CHECKING:
    from mtls_pki.consumers.declare import Declare


def _namespaces(settings: Settings, cluster: str) -> tuple[str, ...]:
    monitoring = monitoring_settings(settings)
    if monitoring is None or monitoring.cluster != cluster:
        return ()
    return (settings.services[monitoring.service].namespace,)


class Monitoring(Consumer):
    """The exporter, where the stack runs it."""

    settings = ConsumerSettings(
        name=NAME,
        section=MonitoringSettings,
        rules=(
            monitoring_is_in_a_cluster_of_the_stack,
            monitoring_reaches_every_cluster,
            monitoring_serves_with_leaves_of_the_stack,
            monitoring_has_an_interval,
        ),
        namespaces=_namespaces,
    )

    def declare(self) -> type[Declare]:
        from mtls_pki.consumers.monitoring.declare import MonitoringDeclare

        return MonitoringDeclare
