"""Who is connected to the servers of PostgreSQL, and by which issuing CA each authenticated.

Source: PostgreSQL documentation, "The Cumulative Statistics System" (``pg_stat_ssl``). It has the
issuer's name and no key, so a session is known by the names of this stack's CAs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtls_pki.clusters.sources.source import Outside, Source
from mtls_pki.consumers.postgresql.section import (
    NAME,
    PostgresqlServerSettings,
    PostgresqlSettings,
)
from mtls_pki.consumers.sessions import Connection, UntoldError, sessions_of
from mtls_pki.settings.model import Settings

PLACE = "(postgresql)"
"""Used like a cluster's name in evidence of sessions; no cluster can have this name."""

_TIMEOUT_SECONDS = 5
_ATTRIBUTE = re.compile(r"/(?=[A-Za-z][A-Za-z0-9-]*=|[0-9.]+=)")
_SPECIAL = re.compile(r'[,+"\\<>;]|^[ #]| $')
_MAY_SEE_ALL = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
_SESSIONS = """
    SELECT usename, backend_start, issuer_dn
    FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
    WHERE issuer_dn IS NOT NULL AND pid <> pg_backend_pid()
"""


def postgresql_settings(settings: Settings) -> PostgresqlSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, PostgresqlSettings) else None


class PostgresqlSource(Source):
    """The sessions of the servers that ``consumers.postgresql`` lists."""

    def outside(self, settings: Settings) -> Outside | None:
        """Ask each server who is connected."""
        section = postgresql_settings(settings)
        if section is None:
            return None
        return sessions_of(settings, section, place=PLACE, servers=section.servers, ask=_ask)


def _ask(server: PostgresqlServerSettings) -> Iterator[Connection]:
    try:
        import psycopg
    except ImportError:
        raise UntoldError(
            "the driver is missing; pip install 'mtls-pki[postgresql]', or psycopg with libpq"
        ) from None
    try:
        with psycopg.connect(server.connection, connect_timeout=_TIMEOUT_SECONDS) as connection:
            connection.read_only = True
            # Others' sessions are shown to no other role, as empty rows.
            (sees_all,) = connection.execute(_MAY_SEE_ALL).fetchone() or (False,)
            rows = connection.execute(_SESSIONS).fetchall()
    except psycopg.Error as error:
        raise UntoldError(f"it cannot be asked ({' '.join(str(error).split())})") from None
    if not sees_all:
        raise UntoldError(
            "its role sees its own sessions only; GRANT pg_read_all_stats to the role"
        )
    for user, since, issuer in rows:
        yield Connection(client=str(user), since=since, subjects=(_rfc4514(issuer),))


def _rfc4514(name: str) -> str:
    """Return a name of OpenSSL's one-line form (``/O=Example/CN=x``) in that of RFC 4514.

    A slash inside of a value looks like the next attribute's only where ``NAME=`` follows it.
    """
    attributes = [each.partition("=") for each in _ATTRIBUTE.split(name) if each]
    return ",".join(
        f"{key}={_SPECIAL.sub(_escaped, value)}" for key, _, value in reversed(attributes)
    )


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found.group()}"
