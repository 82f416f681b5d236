"""Answers scrapes over HTTP, or over mTLS with files that are replaced while it runs."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

# A client that opens a connection and says nothing holds a thread no longer than this.
_PATIENCE_SECONDS = 30.0

Application = Callable[..., Iterable[bytes]]
Complain = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ServedFiles:
    """What a server shows, and whom it takes; cert-manager and kubelet replace all of it.

    Attributes:
        certificate: its leaf and chain, PEM.
        key: of the leaf, PEM.
        client_ca: roots of the clients, PEM; None: it asks for no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None

    def context(self) -> ssl.SSLContext:
        """Return what a handshake needs, as the files are now.

        Raises:
            OSError: a file cannot be read, or is no certificate, or no key of it (``SSLError``).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_ca)
        return context

    def state(self) -> tuple[tuple[int, int], ...]:
        """Return what differs once a file was replaced.

        Raises:
            OSError: one of them is not there.
        """
        files = (self.certificate, self.key, self.client_ca)
        found = [path.stat() for path in files if path is not None]
        return tuple((each.st_ino, each.st_mtime_ns) for each in found)


class _Renewed:
    """The context of the newest files that could be loaded."""

    def __init__(self, files: ServedFiles, complain: Complain) -> None:
        self._files, self._complain = files, complain
        # Taken first: a file that is replaced while it is loaded is loaded again.
        self._state: tuple[tuple[int, int], ...] | None = files.state()
        self._context = files.context()
        self._problem: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return it; what was loaded last where the files are just being replaced."""
        try:
            state = self._files.state()
            if state != self._state:
                self._context = self._files.context()
                self._state, self._problem = state, None
        except OSError as error:
            problem = f"{self._files.certificate}: {error.strerror or error}"
            if problem != self._problem:
                self._complain(f"{problem}; what was loaded before is served on")
                self._problem = problem
        return self._context


class MetricsServer(ThreadingMixIn, WSGIServer):
    """A server of one application, whose handshakes are made where they hold up nobody else."""

    daemon_threads = True

    def __init__(
        self,
        address: str,
        port: int,
        application: Application,
        *,
        files: ServedFiles | None,
        complain: Complain,
    ) -> None:
        """Listen.

        Args:
            address: that it listens on, IPv4 or IPv6.
            port: that it listens on.
            application: gives the answers.
            files: for TLS; None: it serves without.
            complain: is told when replaced files cannot be loaded.

        Raises:
            OSError: it cannot listen there, or the files cannot be loaded.
        """
        self._tls = _Renewed(files, complain) if files is not None else None
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), _Handler)
        self.set_app(application)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its handshake is made by the thread that answers it."""
        connection, client = super().get_request()
        connection.settimeout(_PATIENCE_SECONDS)
        if self._tls is not None:
            connection = self._tls.context().wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever was refused is told so by the handshake."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 as the base calls it
        """Log no scrape."""
