"""Gives Prometheus what was measured last: one reading a round, and never one a scrape."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mtls_pki.clusters.machines import Row
from mtls_pki.clusters.observed_domain import ObservedDomain
from mtls_pki.watch.measures import MEASURES, Reading

_DOMAIN = "domain"


class LastReading(Collector):
    """What a scrape is answered with.

    Attributes:
        registry: holds this collector alone.
    """

    def __init__(self, domain: str) -> None:
        """Know of nothing yet; ``domain`` is the label of every metric."""
        self._domain = domain
        self._lock = threading.Lock()
        self._families: tuple[Metric, ...] = ()
        self._read: dict[str, datetime] = {}
        self._failures = 0
        self._seconds = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def take(self, domain: ObservedDomain, *, seconds: float, machines: Sequence[Row] = ()) -> None:
        """Replace what is known by a new reading, which took so long."""
        evidence = domain.evidence
        for cluster in evidence.reachable:
            if cluster.observed_at is not None:
                self._read[cluster.cluster] = cluster.observed_at
        known = set(domain.settings.clusters)
        self._read = {name: time for name, time in self._read.items() if name in known}
        reading = Reading(
            domain=domain, plan=domain.plan(), read=dict(self._read), machines=machines
        )
        families = tuple(self._measured(reading))
        with self._lock:
            self._families, self._seconds = families, seconds

    def failed(self) -> None:
        """Count a round in which nothing was read; what is known stays, and grows older."""
        with self._lock:
            self._failures += 1

    def write(self, path: str) -> None:
        """Write all metrics to a file for node-exporter, in one piece.

        Raises:
            OSError: it cannot be written.
        """
        write_to_textfile(path, self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the last reading, then of the exporter itself."""
        with self._lock:
            families, failures, seconds = self._families, self._failures, self._seconds
        yield from families
        rounds = CounterMetricFamily(
            "mtls_exporter_failed_rounds",
            "Rounds in which the stack file or the clusters could not be read at all.",
            labels=[_DOMAIN],
        )
        rounds.add_metric([self._domain], failures)
        yield rounds
        duration = GaugeMetricFamily(
            "mtls_exporter_round_duration_seconds",
            "How long the last reading took.",
            labels=[_DOMAIN],
        )
        duration.add_metric([self._domain], seconds)
        yield duration

    def _measured(self, reading: Reading) -> Iterator[Metric]:
        for measure in MEASURES:
            family = GaugeMetricFamily(
                measure.name, measure.text, labels=[_DOMAIN, *measure.labels]
            )
            for labels, value in measure.samples(reading):
                family.add_metric([self._domain, *labels], value)
            yield family
