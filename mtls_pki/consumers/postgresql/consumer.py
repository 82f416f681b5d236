"""PostgreSQL's row of the table of consumers."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.clusters.sources.source import Source
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.postgresql.evidence import PostgresqlSource, postgresql_settings
from mtls_pki.consumers.postgresql.section import NAME, PostgresqlSettings
from mtls_pki.consumers.sessions import places_of_servers
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import ConsumerSettings
from mtls_pki.settings.model import Settings


def postgresql_servers_are_in_clusters_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that ``cluster`` of a PostgreSQL server is one of the stack.

    It only names the place in messages, and a name that does not exist leads nowhere at night.
    """
    section = postgresql_settings(settings)
    servers = section.servers if section else {}
    yield from places_of_servers(settings, "consumers.postgresql.servers", servers)


class Postgresql(Consumer):
    """Servers of PostgreSQL that tell who is connected."""

    settings = ConsumerSettings(
        name=NAME,
        section=PostgresqlSettings,
        rules=(postgresql_servers_are_in_clusters_of_the_stack,),
    )

    def sources(self) -> tuple[Source, ...]:
        return (PostgresqlSource(),)
