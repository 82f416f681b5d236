"""Servers that want to be greeted before TLS, played byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mtls_pki.clusters.sources.endpoints import Endpoint, ask_endpoints
from mtls_pki.clusters.sources.greetings import GREETINGS
from mtls_pki.settings import types

Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def refuses_tls(connection: socket.socket) -> None:
    assert connection.recv(8) == bytes.fromhex("0000000804d2162f")
    connection.sendall(b"N")


def says(text: bytes) -> Answer:
    return lambda connection: connection.sendall(text)


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("postgresql", refuses_tls, "it does not offer TLS (ssl = on is missing)"),
        ("nats", says(b'INFO {"port":4222}\r\n'), "it does not offer TLS (a tls block is missing)"),
        ("nats", says(b"HTTP/1.1 400 Bad Request\r\n"), "it is no NATS server: no INFO came"),
        ("nats", says(b"INFO nothing\r\n"), "it is no NATS server: no INFO came"),
        ("nats", says(b""), "it is no NATS server: no INFO came"),
    ],
)
def test_a_server_without_tls_is_missing_evidence(scheme: str, answer: Answer, words: str) -> None:
    with listening(answer) as port:
        (served,) = ask_endpoints([Endpoint.parse(f"{scheme}://127.0.0.1:{port}")])
    assert served.error == words
    assert str(served.endpoint) == f"{scheme}://127.0.0.1:{port}"


def test_the_settings_know_the_same_schemes() -> None:
    assert tuple(GREETINGS) == types._ENDPOINT_SCHEMES
