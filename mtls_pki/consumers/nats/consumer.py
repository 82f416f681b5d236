"""NATS' row of the table of consumers."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.clusters.sources.source import Source
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.nats.evidence import NatsSource, nats_settings
from mtls_pki.consumers.nats.section import NAME, NatsSettings
from mtls_pki.consumers.sessions import places_of_servers
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings


def nats_servers_are_in_clusters_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that ``cluster`` of a NATS server is one of the stack.

    It only names the place in messages, and a name that does not exist leads nowhere at night.
    """
    nats = nats_settings(settings)
    yield from places_of_servers(settings, "consumers.nats.servers", nats.servers if nats else {})


class Nats(Consumer):
    """Servers of NATS that tell who is connected."""

    settings = ConsumerSettings(
        name=NAME, section=NatsSettings, rules=(nats_servers_are_in_clusters_of_the_stack,)
    )

    def sources(self) -> tuple[Source, ...]:
        return (NatsSource(),)
