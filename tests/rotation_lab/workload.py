"""One service of the fleet: a mutual TLS server and a client that never stops connecting.

    python workload.py < DESCRIPTION

It prints the port that it listens on, reads the addresses of its peers from the next line of
standard input, and ends when standard input ends. Like a workload in a pod it knows only its
mounted files, and like a workload that reloads (Envoy, nginx, Go servers with GetCertificate) it
looks at them again every now and then; nothing tells it that they changed.

Each connection is a full handshake, TLS 1.3, with client certificate, no session resumed. A
handshake counts as done when the server has said whom it saw: in TLS 1.3 a client is finished
before the server has looked at the client's certificate. One line of JSON a handshake goes to the
log: [time, client, server, issuer of the client's leaf, issuer of the server's leaf, error].
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

# Longer than any pause of a busy machine: only a peer that hangs runs into it.
TIMEOUT_SECONDS = 60.0
RELOAD_SECONDS = (0.05, 0.5)


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """What one state of the mounted files gives; ``version`` names that state."""

    version: tuple[str, str]
    server: ssl.SSLContext
    client: ssl.SSLContext


def load(tls: Path, trust: Path) -> Contexts:
    """Load both volumes as they are now.

    A volume's files are read below the directory that its ``..data`` link leads to, so that
    certificate and key are of one state. It may be swapped and removed meanwhile: then again.
    """
    while True:
        targets = tls.joinpath("..data").readlink(), trust.joinpath("..data").readlink()
        try:
            return _contexts(
                tls / targets[0], trust / targets[1], (str(targets[0]), str(targets[1]))
            )
        except FileNotFoundError:
            continue


def _contexts(tls: Path, trust: Path, version: tuple[str, str]) -> Contexts:
    bundle = (trust / "ca.crt").read_text()

    def context(protocol: int) -> ssl.SSLContext:
        made = ssl.SSLContext(protocol)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.verify_mode = ssl.CERT_REQUIRED
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        made.load_verify_locations(cadata=bundle)
        made.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        return made

    server = context(ssl.PROTOCOL_TLS_SERVER)
    server.num_tickets = 0
    return Contexts(version=version, server=server, client=context(ssl.PROTOCOL_TLS_CLIENT))


def issuer_of(certificate: Any) -> str:
    """Return the common name of a verified peer certificate's issuer."""
    names = dict(part[0] for part in certificate["issuer"])
    return str(names["commonName"])


def identities(certificate: Any) -> list[str]:
    """Return the URI names of a verified peer certificate."""
    return [value for kind, value in certificate["subjectAltName"] if kind == "URI"]


class Workload:
    """Serves, connects and records until the process ends."""

    def __init__(self, description: dict[str, Any], log: TextIO) -> None:
        self._name: str = description["name"]
        self._tls, self._trust = Path(description["tls"]), Path(description["trust"])
        self._pause: float = description["pause"]
        self._random = random.Random(description["seed"])  # noqa: S311
        self._log = log
        self._contexts = load(self._tls, self._trust)
        self._known: frozenset[str] = frozenset()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self, peers: list[dict[str, Any]]) -> None:
        """Start everything; returns at once."""
        self._known = frozenset(peer["spiffe"] for peer in peers)
        for target in (self._reload, self._accept, lambda: self._connect(peers)):
            threading.Thread(target=target, daemon=True).start()

    def _reload(self) -> None:
        while True:
            time.sleep(self._random.uniform(*RELOAD_SECONDS))
            version = tuple(str((d / "..data").readlink()) for d in (self._tls, self._trust))
            if version != self._contexts.version:
                self._contexts = load(self._tls, self._trust)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_SECONDS)
        # What goes wrong here reaches the client as an alert, and is counted there.
        with (
            contextlib.suppress(OSError),
            self._contexts.server.wrap_socket(connection, server_side=True) as secure,
        ):
            peer = secure.getpeercert()
            known = bool(self._known.intersection(identities(peer)))
            secure.sendall(json.dumps([known, issuer_of(peer)]).encode() + b"\n")

    def _connect(self, peers: list[dict[str, Any]]) -> None:
        while True:
            for peer in self._random.sample(peers, len(peers)):
                time.sleep(self._random.uniform(0.5, 1.5) * self._pause)
                client_issuer, server_issuer, error = self._handshake(peer)
                self._log.write(
                    json.dumps(
                        [time.time(), self._name, peer["name"], client_issuer, server_issuer, error]
                    )
                    + "\n"
                )

    def _handshake(self, peer: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
        server_issuer = None
        try:
            with (
                socket.create_connection(("127.0.0.1", peer["port"]), TIMEOUT_SECONDS) as plain,
                self._contexts.client.wrap_socket(plain, server_hostname=peer["dns"]) as secure,
            ):
                certificate = secure.getpeercert()
                server_issuer = issuer_of(certificate)
                if identities(certificate) != [peer["spiffe"]]:
                    return None, server_issuer, f"it is {identities(certificate)}"
                with secure.makefile("r") as answer:
                    known, client_issuer = json.loads(answer.readline() or "[false, null]")
                return (
                    client_issuer,
                    server_issuer,
                    None if known else "the server does not know us",
                )
        except (OSError, ValueError) as error:
            return None, server_issuer, f"{type(error).__name__}: {error}"


def main() -> None:
    description = json.loads(sys.stdin.readline())
    with Path(description["log"]).open("a", buffering=1) as log:
        workload = Workload(description, log)
        print(workload.port, flush=True)
        workload.run(json.loads(sys.stdin.readline()))
        sys.stdin.read()


if __name__ == "__main__":
    main()
