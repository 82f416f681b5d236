"""The table of consumers: one row for each."""

from __future__ import annotations

from mtls_pki.consumers.consumer import Consumer

CONSUMERS: dict[str, Consumer] = {}
"""Every consumer by its name in the stack file."""
