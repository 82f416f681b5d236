"""Who is connected to the servers of NATS, and by which issuing CA each client authenticated.

Source: NATS documentation, "Monitoring" (``/connz?auth=1``); ``tls_peer_certs`` has the identities
of the certificates that a client presented, since 2.10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import urllib3

from mtls_pki.clusters.sources.source import Outside, Source
from mtls_pki.consumers.nats.section import NAME, NatsServerSettings, NatsSettings
from mtls_pki.consumers.sessions import Connection, UntoldError, sessions_of
from mtls_pki.settings.model import Settings

PLACE = "(nats)"
"""Used like a cluster's name in evidence of sessions; no cluster can have this name."""

_TIMEOUT_SECONDS = 5.0
_PAGE = 1024  # the server's own limit where none is asked for


def nats_settings(settings: Settings) -> NatsSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, NatsSettings) else None


class NatsSource(Source):
    """The sessions of the servers that ``consumers.nats`` lists."""

    def outside(self, settings: Settings) -> Outside | None:
        """Ask each server who is connected."""
        nats = nats_settings(settings)
        if nats is None:
            return None
        return sessions_of(settings, nats, place=PLACE, servers=nats.servers, ask=_ask)


def _ask(server: NatsServerSettings) -> Iterator[Connection]:
    found: list[Mapping[str, Any]] = []
    try:
        while True:
            url = f"{server.monitoring}/connz?auth=1&limit={_PAGE}&offset={len(found)}"
            answer = urllib3.request("GET", url, retries=False, timeout=_TIMEOUT_SECONDS)
            page = json.loads(answer.data)
            found += page["connections"]
            if answer.status != 200 or not page["connections"] or len(found) >= page["total"]:
                break
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
        raise UntoldError(
            f"{server.monitoring} does not answer as a monitoring port of NATS does ({error})"
        ) from None
    certified = [each for each in found if each.get("tls_version")]
    if certified and not any(each.get("tls_peer_certs") for each in certified):
        raise UntoldError(
            "it does not say which certificates its clients presented; NATS 2.10 and later do"
        )
    for each in found:
        presented = each.get("tls_peer_certs") or ()
        # Without a certificate no anchor has to do with it.
        if presented:
            yield Connection(
                client=str(each.get("authorized_user") or presented[0].get("subject") or "?"),
                since=_time(each.get("start")),
                subjects=tuple(str(one.get("subject", "")) for one in presented[1:]),
                authorities=frozenset(str(one.get("spki_sha256", "")) for one in presented[1:]),
            )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
