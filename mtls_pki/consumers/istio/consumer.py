"""Istio's row of the table of consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.clusters.sources.source import Source
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.istio.evidence import IstioSource
from mtls_pki.consumers.istio.names import certifying_istio, istio_clusters, istio_settings
from mtls_pki.consumers.istio.objects import SECRET
from mtls_pki.consumers.istio.rules import RULES
from mtls_pki.consumers.istio.section import NAME, IstioSettings
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings

if TYPE_CHECKING:
    from mtls_pki.consumers.declare import Declare


def _namespaces(settings: Settings, cluster: str) -> tuple[str, ...]:
    istio = istio_settings(settings)
    return (istio.namespace,) if istio and cluster in istio_clusters(settings) else ()


def _secrets(settings: Settings, cluster: str) -> frozenset[tuple[str, str]]:
    if certifying_istio(settings) is None:
        return frozenset()
    return frozenset((namespace, SECRET) for namespace in _namespaces(settings, cluster))


class Istio(Consumer):
    """Meshes of Istio whose istiod signs below the trust anchor."""

    settings = ConsumerSettings(
        name=NAME,
        section=IstioSettings,
        rules=RULES,
        clusters=istio_clusters,
        namespaces=_namespaces,
        secrets=_secrets,
    )

    def declare(self) -> type[Declare]:
        from mtls_pki.consumers.istio.declare import IstioDeclare

        return IstioDeclare

    def sources(self) -> tuple[Source, ...]:
        return (IstioSource(),)
