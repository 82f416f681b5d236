"""The section ``consumers.envoy`` of the stack file."""

from __future__ import annotations

from pydantic import Field

from mtls_pki.consumers.sessions import SessionServer, SessionSettings
from mtls_pki.settings.types import DnsLabel, MonitoringUrl

NAME = "envoy"
"""Of the section, below ``consumers``."""


class EnvoyServerSettings(SessionServer):
    """One proxy, and where it is asked."""

    # Its admin port, as reached from here.
    admin: MonitoringUrl


class EnvoySettings(SessionSettings):
    """Proxies whose sessions are told, by the name that messages call them."""

    servers: dict[DnsLabel, EnvoyServerSettings] = Field(min_length=1)
