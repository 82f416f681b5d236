"""Names that follow from ``consumers.monitoring``."""

from __future__ import annotations

from mtls_pki.consumers.monitoring.section import NAME, MonitoringSettings
from mtls_pki.settings.model import Settings

EXPORTER = "mtls-pki-exporter"
"""Of the exporter's objects, besides the project's and the stack's names."""


def monitoring_settings(settings: Settings) -> MonitoringSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, MonitoringSettings) else None


def bundle_names(settings: Settings) -> tuple[str, ...]:
    """Return what the bundle is called, and was called while verifiers move."""
    return tuple(
        dict.fromkeys((settings.trust.name, *(each.name for each in settings.trust.formerly)))
    )
