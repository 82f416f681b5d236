"""The table of consumers: one row for each."""

from __future__ import annotations

from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.envoy.consumer import Envoy
from mtls_pki.consumers.gloo.consumer import Gloo
from mtls_pki.consumers.istio.consumer import Istio
from mtls_pki.consumers.monitoring.consumer import Monitoring
from mtls_pki.consumers.nats.consumer import Nats
from mtls_pki.consumers.postgresql.consumer import Postgresql

_ROWS: tuple[Consumer, ...] = (Envoy(), Gloo(), Istio(), Monitoring(), Nats(), Postgresql())

CONSUMERS: dict[str, Consumer] = {row.settings.name: row for row in _ROWS}
"""Every consumer by its name in the stack file."""
