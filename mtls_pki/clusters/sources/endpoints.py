"""Live handshakes: the chain that a server really presents, whatever its Secret says.

TLS from the first byte, or after the greeting of one of the protocols of ``greetings``.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cryptography import x509

from mtls_pki.clusters.sources.greetings import GREETINGS
from mtls_pki.clusters.sources.source import Issued, KnownTrust, Outside, Source
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.evidence import LeafObservation
from mtls_pki.rotation.guards.observed import ENDPOINT
from mtls_pki.rotation.observation import observe_leaf
from mtls_pki.settings.model import Settings

TIMEOUT_SECONDS = 3.0
"""For the connection, and again for the handshake."""
SIDE_BY_SIDE = 32
ENDPOINTS = "(endpoints)"
"""Used like a cluster's name in evidence of endpoints; no cluster can have this name."""


class EndpointSource(Source):
    """The servers that ``trust.endpoints`` lists."""

    def outside(self, settings: Settings) -> Outside | None:
        """Ask each server for its chain."""
        served = ask_endpoints([Endpoint.parse(text) for text in settings.trust.endpoints])
        if not served:
            return None

        def read(trust: KnownTrust) -> Issued:
            leaves = observe_endpoints(served, trust.anchors)
            return Issued(leaves=tuple(leaf for leaf in leaves if leaf.live(trust.at)))

        return Outside(
            place=ENDPOINTS,
            read=read,
            unread=_unread(served),
        )


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server to ask.

    Attributes:
        host: name or address; an IPv6 address without brackets.
        port: TCP port.
        server_name: SNI to send, for servers behind a shared address; None: ``host``.
        scheme: of ``greetings.GREETINGS``; empty where TLS comes first.
    """

    host: str
    port: int
    server_name: str | None = None
    scheme: str = ""

    @classmethod
    def parse(cls, text: str, server_name: str | None = None) -> Endpoint:
        """Return the endpoint ``[SCHEME://]HOST:PORT``, as ``trust.endpoints`` has it."""
        scheme, _, address = text.rpartition("://")
        host, _, port = address.rpartition(":")
        return cls(host=host.strip("[]"), port=int(port), server_name=server_name, scheme=scheme)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" if self.scheme else f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ServedChain:
    """What one endpoint presented: PEM, leaf first; or why there is none."""

    endpoint: Endpoint
    chain_pem: str = ""
    error: str | None = None


def ask_endpoints(endpoints: Sequence[Endpoint]) -> tuple[ServedChain, ...]:
    """Return what each endpoint presents, in their order; raises nothing."""
    if not endpoints:
        return ()
    with ThreadPoolExecutor(max_workers=min(SIDE_BY_SIDE, len(endpoints))) as pool:
        return tuple(pool.map(_ask, endpoints))


def observe_endpoints(
    served: Iterable[ServedChain], anchors: Sequence[x509.Certificate]
) -> tuple[LeafObservation, ...]:
    """Judge the chains that were presented; endpoints without one are left out."""
    return tuple(
        replace(
            observe_leaf(
                cluster=ENDPOINTS,
                namespace="",
                name=str(each.endpoint),
                kind=ENDPOINT,
                declared=False,
                issuer=_issuer(each.chain_pem),
                chain_pem=each.chain_pem,
                anchors=anchors,
            ),
            # What is served is seen, so nothing else is.
            predecessor=frozenset(),
        )
        for each in served
        if each.error is None
    )


def _unread(served: Iterable[ServedChain]) -> str:
    failed = [f"{each.endpoint} ({each.error})" for each in served if each.error is not None]
    if not failed:
        return ""
    return (
        f"{', '.join(failed)} could not be asked, so what is served there was not seen; let it be "
        "reached from here, or take it out of trust.endpoints if nothing serves there any more"
    )


def _ask(endpoint: Endpoint) -> ServedChain:
    try:
        with socket.create_connection((endpoint.host, endpoint.port), TIMEOUT_SECONDS) as plain:
            if endpoint.scheme:
                GREETINGS[endpoint.scheme](plain)
            chain = _handshake(plain, endpoint.server_name or endpoint.host)
    except (OSError, ValueError) as error:
        # ValueError: a host that is no IDNA name, which no name service is asked for.
        return ServedChain(endpoint=endpoint, error=_words(error))
    return ServedChain(endpoint=endpoint, chain_pem="".join(map(ssl.DER_cert_to_PEM_cert, chain)))


def _handshake(plain: socket.socket, server_name: str) -> list[bytes]:
    """Return the presented chain as DER.

    Nothing is verified: the chain is looked at and never relied on, and the one that no longer
    verifies is the one to find. No client certificate is sent; where the server insists on one, the
    handshake fails, but only after the server's own chain has come.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(
        plain, server_hostname=server_name, do_handshake_on_connect=False
    ) as wrapped:
        try:
            wrapped.do_handshake()
        except OSError:
            chain = _presented(wrapped)
            if not chain:
                raise
            return chain
        return _presented(wrapped)


def _presented(wrapped: ssl.SSLSocket) -> list[bytes]:
    # Public since Python 3.13, as bytes. Since Python 3.10 the private socket object has the same
    # call, which returns objects. getpeercert() never returns more than the leaf.
    tls: Any = wrapped if hasattr(wrapped, "get_unverified_chain") else wrapped._sslobj  # type: ignore[attr-defined]
    chain: Sequence[Any] = tls.get_unverified_chain() or ()
    return [
        each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes())
        for each in chain
    ]


def _issuer(chain_pem: str) -> str:
    try:
        return parse_certificates(chain_pem, origin="chain")[0].issuer.rfc4514_string()
    except PkiError:
        return "unknown"


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    return str(getattr(error, "strerror", None) or error)
