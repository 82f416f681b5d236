"""Envoy's row of the table of consumers."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.clusters.sources.source import Source
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.envoy.evidence import EnvoySource, envoy_settings
from mtls_pki.consumers.envoy.section import NAME, EnvoySettings
from mtls_pki.consumers.sessions import places_of_servers
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings


def envoy_servers_are_in_clusters_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that ``cluster`` of an Envoy is one of the stack.

    It only names the place in messages, and a name that does not exist leads nowhere at night.
    """
    envoy = envoy_settings(settings)
    yield from places_of_servers(
        settings, "consumers.envoy.servers", envoy.servers if envoy else {}
    )


class Envoy(Consumer):
    """Proxies that count who is connected."""

    settings = ConsumerSettings(
        name=NAME, section=EnvoySettings, rules=(envoy_servers_are_in_clusters_of_the_stack,)
    )

    def sources(self) -> tuple[Source, ...]:
        return (EnvoySource(),)
