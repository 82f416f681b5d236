"""Live handshakes with real TLS servers: the chain that is served is what counts."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtls_pki.clusters.sources.endpoints import Endpoint, ask_endpoints, observe_endpoints
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import chain, fingerprint, issuing, root
from tests.unit.pki.material import key_pem, parsed

Tune = Callable[[ssl.SSLContext], None]


@contextmanager
def tls_server(directory: Path, pem: str, tune: Tune = lambda _: None) -> Iterator[str]:
    """Serve ``pem`` on loopback and yield the address; ``tune`` changes the server's context."""
    (directory / "tls.crt").write_text(pem)
    (directory / "tls.key").write_text(key_pem("leaf"))
    (directory / "tls.key").chmod(0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    tune(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            plain.settimeout(3)
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # close() alone does not wake accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def mutual(version: ssl.TLSVersion) -> Tune:
    def tune(context: ssl.SSLContext) -> None:
        context.minimum_version = context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=root("g1"))

    return tune


@pytest.mark.parametrize(
    "tune",
    [lambda _: None, mutual(ssl.TLSVersion.TLSv1_2), mutual(ssl.TLSVersion.TLSv1_3)],
    ids=["no client certificate", "mutual TLS 1.2", "mutual TLS 1.3"],
)
def test_the_whole_chain_that_is_served_is_judged(tmp_path: Path, tune: Tune) -> None:
    with tls_server(tmp_path, chain("g1"), tune) as address:
        served = ask_endpoints([Endpoint.parse(address)])
    assert served[0].error is None
    assert served[0].chain_pem == chain("g1")
    (leaf,) = observe_endpoints(served, [parsed(root("g1")), parsed(root("g2"))])
    assert leaf.signers == {fingerprint("g1")}
    assert (leaf.kind, leaf.name, leaf.cluster) == ("endpoint", address, "(endpoints)")
    assert leaf.issuer == parsed(issuing("g1")).subject.rfc4514_string()
    assert leaf.not_after == parsed(chain("g1").split("-----END")[0] + END).not_valid_after_utc


END = "-----END CERTIFICATE-----\n"


def test_the_server_name_is_sent(tmp_path: Path) -> None:
    names: list[str | None] = []

    def listen(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda _tls, name, _context: names.append(name)

    with tls_server(tmp_path, chain("g1"), listen) as address:
        ask_endpoints([Endpoint.parse(address, "gateway.example.org")])
    assert names == ["gateway.example.org"]


def test_an_endpoint_that_is_away_is_evidence_that_is_missing(stack: Stack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
    with tls_server(tmp_path, chain("g1")) as address:
        evidence = stack.read(trust__endpoints=[closed, address])
    (unread,) = evidence.unreachable
    assert unread.cluster == "(endpoints)"
    assert f"{closed} (Connection refused) could not be asked" in unread.error
    assert "trust.endpoints" in unread.error
    assert [(leaf.kind, leaf.name) for leaf in evidence.leaves] == [("endpoint", address)]


def test_endpoints_that_answer_are_evidence_that_is_whole(stack: Stack, tmp_path: Path) -> None:
    with tls_server(tmp_path, chain("g1")) as address:
        assert stack.read(trust__endpoints=[address]).unreachable == ()


def test_a_server_that_speaks_no_tls_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            plain, _ = listener.accept()
            with plain:
                plain.sendall(b"INFO {}\r\n")
                plain.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        (served,) = ask_endpoints([Endpoint.parse(f"127.0.0.1:{listener.getsockname()[1]}")])
        thread.join()
    assert served.error is not None
    assert "wrong version number" in served.error.lower()


def test_a_server_that_says_nothing_is_left_after_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mtls_pki.clusters.sources.endpoints.TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (served,) = ask_endpoints([Endpoint.parse(f"127.0.0.1:{listener.getsockname()[1]}")])
    assert served.error == "no answer within 0.2 s"


def test_a_name_that_does_not_exist_is_a_warning() -> None:
    (served,) = ask_endpoints([Endpoint.parse("does-not-exist.invalid:443")])
    assert served.error


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("gateway.example.org:443", "gateway.example.org", 443),
        ("[2001:db8::5]:8443", "2001:db8::5", 8443),
    ],
)
def test_an_endpoint_is_written_as_it_is_configured(text: str, host: str, port: int) -> None:
    endpoint = Endpoint.parse(text)
    assert (endpoint.host, endpoint.port, str(endpoint)) == (host, port, text)
