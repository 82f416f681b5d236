"""Who is connected to a server under which anchor, for every consumer whose server can tell it.

An open connection is not verified again, so it outlives its anchor's leaving on every server. A
consumer of this kind asks its servers; what the answers mean is the same for all and stands here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import StrictBool

from mtls_pki.clusters.sources.source import Issued, KnownTrust, Outside
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.names import NameKey, name_key, read_name
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.rotation.evidence import SessionObservation
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.names import is_issuing_ca_of
from mtls_pki.settings.section import Section
from mtls_pki.settings.types import DnsLabel

if TYPE_CHECKING:
    from mtls_pki.settings.model import Settings

_SIDE_BY_SIDE = 16


class SessionServer(Section):
    """One server; how it is asked is its consumer's own field."""

    # Where it runs, for messages: `orders@west`.
    cluster: DnsLabel | None = None


class SessionSettings(Section):
    """A section whose servers tell who is connected; the field ``servers`` is its consumer's."""

    # An outgoing anchor stays until no session under it is open.
    hold_for_sessions: StrictBool = False


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One open connection that was authenticated by a certificate.

    Attributes:
        client: as the server knows it.
        since: when it was opened.
        subjects: RFC 4514, of the CAs above the client's leaf, as far as the server tells.
        authorities: SPKI SHA-256 of the same.
    """

    client: str
    since: datetime | None
    subjects: tuple[str, ...] = ()
    authorities: frozenset[str] = frozenset()


class UntoldError(Exception):
    """A server does not tell who is connected; the text says why, for a person."""


Server = TypeVar("Server", bound=SessionServer)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    server: str
    connections: tuple[Connection, ...] = ()
    error: str = ""


def sessions_of(
    settings: Settings,
    section: SessionSettings,
    *,
    place: str,
    servers: Mapping[str, Server],
    ask: Callable[[Server], Iterable[Connection]],
) -> Outside:
    """Ask all servers of a section, side by side.

    A server that cannot be asked is missing evidence only where its sessions hold an anchor.

    Args:
        settings: of the stack.
        section: of the consumer.
        place: used like a cluster's name in the evidence.
        servers: by their name in messages.
        ask: one server; raises :class:`UntoldError`.
    """

    def answer(name: str, server: Server) -> _Answer:
        shown = f"{name}@{server.cluster}" if server.cluster else name
        try:
            return _Answer(server=shown, connections=tuple(ask(server)))
        except UntoldError as error:
            return _Answer(server=shown, error=str(error))

    with ThreadPoolExecutor(max_workers=min(_SIDE_BY_SIDE, len(servers))) as pool:
        answers = tuple(pool.map(lambda each: answer(*each), servers.items()))
    missing = "; ".join(
        f"sessions of {each.server} are not seen: {each.error}" for each in answers if each.error
    )
    holds = section.hold_for_sessions

    def read(trust: KnownTrust) -> Issued:
        owners = _owners(settings, trust)
        return Issued(
            sessions=tuple(
                _session(settings, each.server, connection, owners, holds=holds)
                for each in answers
                for connection in each.connections
            ),
            remarks=(missing,) if missing and not holds else (),
        )

    return Outside(place=place, read=read, unread=missing if holds else "")


def places_of_servers(
    settings: Settings, path: str, servers: Mapping[str, SessionServer]
) -> Iterator[Mistake]:
    """Yield each server whose ``cluster`` is none of the stack, which would lead nowhere."""
    for name, server in servers.items():
        if server.cluster is not None and server.cluster not in settings.clusters:
            known = ", ".join(settings.clusters)
            yield Mistake(
                path=f"{path}.{name}.cluster",
                message=f"{server.cluster!r} is no cluster of this stack; write one of: {known}",
            )


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """A recorded generation, and whose names as an issuer lead to it.

    Attributes:
        fingerprint: of its anchor.
        names: subjects of its root, and of an issuing CA of it that was brought.
    """

    generation: str
    fingerprint: str
    names: frozenset[NameKey]


def _owners(settings: Settings, trust: KnownTrust) -> tuple[_Owner, ...]:
    recorded = {
        generation: anchor.fingerprint
        for gate in trust.gates
        if gate.stage is not None
        for generation, anchor in gate.stage.anchors.items()
        if anchor.fingerprint is not None
    }
    found = {
        generation: {
            name_key(each.subject) for each in trust.anchors if spki_sha256(each) == fingerprint
        }
        | _brought_names(settings, generation)
        for generation, fingerprint in recorded.items()
    }
    # A renewed root, or an issuing CA that two roots certified, is no proof of either.
    counted = Counter(name for names in found.values() for name in names)
    return tuple(
        _Owner(
            generation=generation,
            fingerprint=fingerprint,
            names=frozenset(name for name in found[generation] if counted[name] == 1),
        )
        for generation, fingerprint in recorded.items()
    )


def _brought_names(settings: Settings, generation: str) -> set[NameKey]:
    anchor = settings.anchors.get(generation)
    issuing_ca = anchor.issuing_ca if anchor is not None else None
    if issuing_ca is None or issuing_ca.certificate is None:
        return set()
    origin = f"anchors.{generation}.issuingCa.certificate"
    return {name_key(parse_certificate(issuing_ca.certificate.pem, origin=origin).subject)}


def _session(
    settings: Settings,
    server: str,
    connection: Connection,
    owners: Iterable[_Owner],
    *,
    holds: bool,
) -> SessionObservation:
    names = frozenset(filter(None, map(read_name, connection.subjects)))
    return SessionObservation(
        server=server,
        client=connection.client,
        authorities=connection.authorities,
        since=connection.since,
        named=frozenset(
            owner.fingerprint
            for owner in owners
            if names & owner.names
            or any(
                is_issuing_ca_of(settings, owner.generation, each) for each in connection.subjects
            )
        ),
        holds=holds,
    )
