"""The section ``consumers.nats`` of the stack file."""

from __future__ import annotations

from pydantic import Field, StrictBool

from mtls_pki.settings.section import Section
from mtls_pki.settings.types import DnsLabel, MonitoringUrl

NAME = "nats"
"""Of the section, below ``consumers``."""


class NatsServerSettings(Section):
    """One server, and where it is asked."""

    # Its monitoring port (`http` or `https` of its configuration), as reached from here.
    monitoring: MonitoringUrl
    # Where it runs, for messages: `orders@west`.
    cluster: DnsLabel | None = None


class NatsSettings(Section):
    """Servers whose sessions are told, by the name that messages call them."""

    servers: dict[DnsLabel, NatsServerSettings] = Field(min_length=1)
    # An outgoing anchor stays until no session under it is open.
    hold_for_sessions: StrictBool = False
