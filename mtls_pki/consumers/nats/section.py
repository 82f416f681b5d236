"""The section ``consumers.nats`` of the stack file."""

from __future__ import annotations

from pydantic import Field

from mtls_pki.consumers.sessions import SessionServer, SessionSettings
from mtls_pki.settings.types import DnsLabel, MonitoringUrl

NAME = "nats"
"""Of the section, below ``consumers``."""


class NatsServerSettings(SessionServer):
    """One server, and where it is asked."""

    # Its monitoring port (`http` or `https` of its configuration), as reached from here.
    monitoring: MonitoringUrl


class NatsSettings(SessionSettings):
    """Servers whose sessions are told, by the name that messages call them."""

    servers: dict[DnsLabel, NatsServerSettings] = Field(min_length=1)
