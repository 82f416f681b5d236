"""Who is connected to the servers of NATS, and by which issuing CA each client authenticated.

Source: NATS documentation, "Monitoring" (``/connz?auth=1``); ``tls_peer_certs`` has the identities
of the certificates that a client presented, since 2.10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import urllib3

from mtls_pki.clusters.sources.source import Issued, KnownTrust, Outside, Source
from mtls_pki.consumers.nats.section import NAME, NatsServerSettings, NatsSettings
from mtls_pki.rotation.evidence import SessionObservation
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import is_issuing_ca_of

PLACE = "(nats)"
"""Used like a cluster's name in evidence of sessions; no cluster can have this name."""

_TIMEOUT_SECONDS = 5.0
_SIDE_BY_SIDE = 16
_PAGE = 1024  # the server's own limit where none is asked for


def nats_settings(settings: Settings) -> NatsSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, NatsSettings) else None


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What one server said, or why it did not."""

    server: str
    connections: tuple[Mapping[str, Any], ...] = ()
    error: str = ""


class NatsSource(Source):
    """The sessions of the servers that ``consumers.nats`` lists."""

    def outside(self, settings: Settings) -> Outside | None:
        """Ask each server who is connected.

        A server that cannot be asked is missing evidence only where its sessions hold an anchor.
        """
        nats = nats_settings(settings)
        if nats is None:
            return None
        with ThreadPoolExecutor(max_workers=min(_SIDE_BY_SIDE, len(nats.servers))) as pool:
            answers = tuple(pool.map(lambda each: _ask(*each), nats.servers.items()))
        missing = "; ".join(
            f"sessions of {each.server} are not seen: {each.error}"
            for each in answers
            if each.error
        )

        def read(trust: KnownTrust) -> Issued:
            named = partial(_named, settings, _anchors(trust))
            return Issued(
                sessions=tuple(
                    session
                    for each in answers
                    for session in _sessions(each, named, holds=nats.hold_for_sessions)
                ),
                remarks=(missing,) if missing and not nats.hold_for_sessions else (),
            )

        return Outside(place=PLACE, read=read, unread=missing if nats.hold_for_sessions else "")


def _ask(name: str, server: NatsServerSettings) -> _Answer:
    shown = f"{name}@{server.cluster}" if server.cluster else name
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
        reason = f"{server.monitoring} does not answer as a monitoring port of NATS does ({error})"
        return _Answer(server=shown, error=reason)
    certified = [each for each in found if each.get("tls_version")]
    if certified and not any(each.get("tls_peer_certs") for each in certified):
        reason = "it does not say which certificates its clients presented; NATS 2.10 and later do"
        return _Answer(server=shown, error=reason)
    return _Answer(server=shown, connections=tuple(found))


def _anchors(trust: KnownTrust) -> dict[str, str]:
    """Return the fingerprint of every recorded generation."""
    return {
        generation: anchor.fingerprint
        for gate in trust.gates
        if gate.stage is not None
        for generation, anchor in gate.stage.anchors.items()
        if anchor.fingerprint is not None
    }


def _named(
    settings: Settings, anchors: Mapping[str, str], presented: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """Return the anchors whose issuing CAs of this stack have the names that were presented."""
    subjects = {str(each.get("subject", "")) for each in presented}
    return frozenset(
        fingerprint
        for generation, fingerprint in anchors.items()
        if any(is_issuing_ca_of(settings, generation, subject) for subject in subjects)
    )


def _sessions(
    answer: _Answer,
    named: Callable[[Iterable[Mapping[str, Any]]], frozenset[str]],
    *,
    holds: bool,
) -> Iterator[SessionObservation]:
    for each in answer.connections:
        presented = each.get("tls_peer_certs") or ()
        # Without a certificate no anchor has to do with it.
        if presented:
            yield SessionObservation(
                server=answer.server,
                client=str(each.get("authorized_user") or presented[0].get("subject") or "?"),
                authorities=frozenset(str(one.get("spki_sha256", "")) for one in presented[1:]),
                since=_time(each.get("start")),
                named=named(presented[1:]),
                holds=holds,
            )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
