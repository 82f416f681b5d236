"""An HTTP service that serves with what docs/workloads.md shows.

python python_service.py SNIPPET PORT TLS_DIRECTORY TRUST_DIRECTORY
"""

from __future__ import annotations

import contextlib
import runpy
import socket
import sys
import threading
from typing import Any


def serve(reloading: Any, connection: socket.socket) -> None:
    connection.settimeout(30)
    with (
        contextlib.suppress(OSError),
        reloading.context().wrap_socket(connection, server_side=True) as secure,
    ):
        secure.recv(4096)
        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def main(snippet: str, port: str, tls: str, trust: str) -> None:
    reloading = runpy.run_path(snippet)["Reloading"](tls, trust)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(reloading, connection), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
