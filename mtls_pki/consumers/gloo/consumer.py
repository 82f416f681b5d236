"""Gloo Mesh's row of the table of consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.clusters.sources.source import Source
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.gloo.evidence import GlooSource
from mtls_pki.consumers.gloo.names import gloo_clusters, gloo_settings
from mtls_pki.consumers.gloo.objects import SECRETS
from mtls_pki.consumers.gloo.rules import RULES
from mtls_pki.consumers.gloo.section import NAME, GlooSettings
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings

if TYPE_CHECKING:
    from mtls_pki.consumers.declare import Declare


def _namespaces(settings: Settings, cluster: str) -> tuple[str, ...]:
    gloo = gloo_settings(settings)
    return (gloo.namespace,) if gloo and cluster in gloo_clusters(settings) else ()


def _secrets(settings: Settings, cluster: str) -> frozenset[tuple[str, str]]:
    gloo = gloo_settings(settings)
    mesh = gloo.mesh_root if gloo is not None and cluster == gloo.management else None
    names = (*SECRETS, mesh.secret_name) if mesh is not None else SECRETS
    return frozenset(
        (namespace, secret) for namespace in _namespaces(settings, cluster) for secret in names
    )


class Gloo(Consumer):
    """Gloo Mesh, whose relay is below the trust anchor."""

    settings = ConsumerSettings(
        name=NAME,
        section=GlooSettings,
        rules=RULES,
        clusters=gloo_clusters,
        namespaces=_namespaces,
        secrets=_secrets,
    )

    def declare(self) -> type[Declare]:
        from mtls_pki.consumers.gloo.declare import GlooDeclare

        return GlooDeclare

    def sources(self) -> tuple[Source, ...]:
        return (GlooSource(),)
