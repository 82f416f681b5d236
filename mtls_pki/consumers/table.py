"""The table of consumers: one row for each."""

from __future__ import annotations

from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.istio.consumer import Istio

_ROWS: tuple[Consumer, ...] = (Istio(),)

CONSUMERS: dict[str, Consumer] = {row.settings.name: row for row in _ROWS}
"""Every consumer by its name in the stack file."""
