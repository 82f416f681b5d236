"""An HTTP server on the loopback interface, for as long as a test needs it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ADDRESS = "127.0.0.1"
# How soon it notices that it is to end.
_POLL_SECONDS = 0.02


class _Quiet(BaseHTTPRequestHandler):
    # Headers and body are two writes; with Nagle's algorithm the second waits 40 ms for the client.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Keep test output quiet."""


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve by ``handler`` on a free port inside of the block; give the URL."""
    server = ThreadingHTTPServer((_ADDRESS, 0), type("Handler", (_Quiet, handler), {}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://{_ADDRESS}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
