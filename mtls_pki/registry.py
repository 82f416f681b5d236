"""The tables of backends and consumers, in the terms of who composes: settings and evidence.

Settings and clusters know no backend and no consumer; a command or the program hands these in.
"""

from __future__ import annotations

from mtls_pki.backends.backend import Backend
from mtls_pki.backends.table import BACKENDS
from mtls_pki.clusters.sources.source import Source
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.table import CONSUMERS
from mtls_pki.settings.extensions import Extensions
from mtls_pki.settings.model import Settings


def extensions() -> Extensions:
    """Return what a stack file may name."""
    return Extensions(
        backends=tuple(backend.settings for backend in BACKENDS.values()),
        consumers=tuple(consumer.settings for consumer in CONSUMERS.values()),
    )


def backends_of(settings: Settings) -> tuple[Backend, ...]:
    """Return the backends that a stack uses, in the order of the table."""
    return tuple(each for each in BACKENDS.values() if each.settings.in_use(settings))


def consumers_of(settings: Settings) -> tuple[Consumer, ...]:
    """Return the consumers that a stack names, in the order of the table."""
    return tuple(
        each
        for each in CONSUMERS.values()
        if settings.consumers.section(each.settings.name) is not None
    )


def sources_of(settings: Settings) -> tuple[Source, ...]:
    """Return where the evidence of a stack comes from, the clusters' own objects first."""
    backends = (source for row in backends_of(settings) for source in row.sources())
    consumers = (source for row in consumers_of(settings) for source in row.sources())
    return (*SOURCES, *backends, *consumers)
