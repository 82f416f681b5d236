"""The section ``consumers.postgresql`` of the stack file."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field

from mtls_pki.consumers.sessions import SessionServer, SessionSettings
from mtls_pki.settings.types import DnsLabel

NAME = "postgresql"
"""Of the section, below ``consumers``."""

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")


def _connection(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in _SCHEMES and parts.port != 0 and parts.hostname and parts.username
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(
            "write postgresql://USER@HOST:PORT/DATABASE, with libpq's parameters after `?`"
        )
    if parts.password is not None or any(each in parse_qs(parts.query) for each in _SECRETS):
        # The value is left out of the message: it has the password.
        raise ValueError(
            "leave the password out: use a client certificate (sslcert, sslkey) or ~/.pgpass"
        )
    return value


ConnectionUrl = Annotated[str, AfterValidator(_connection)]


class PostgresqlServerSettings(SessionServer):
    """One server, and how it is asked."""

    # Of a role with `pg_read_all_stats`, as libpq takes it, without a password.
    connection: ConnectionUrl


class PostgresqlSettings(SessionSettings):
    """Servers whose sessions are told, by the name that messages call them."""

    servers: dict[DnsLabel, PostgresqlServerSettings] = Field(min_length=1)
