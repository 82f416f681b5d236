"""A mutual TLS server or client on Python's ``ssl``, run as a process of its own.

    python -m tests.integration.support.peer serve DIRECTORY
    python -m tests.integration.support.peer call DIRECTORY PORT SERVER_NAME

DIRECTORY holds ``tls.crt``, ``tls.key`` and ``bundle.crt``. The server says ``ACCEPT HOST:PORT``,
sends each line back reversed (as ``openssl s_server -rev`` does) until one says CLOSE, and ends
with its standard input.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from pathlib import Path

_LOOPBACK = "127.0.0.1"


def _context(directory: Path, purpose: ssl.Purpose) -> ssl.SSLContext:
    # CLIENT_AUTH makes a server's context and SERVER_AUTH a client's, which checks the name too.
    context = ssl.create_default_context(purpose, cafile=str(directory / "bundle.crt"))
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _converse(connection: ssl.SSLSocket) -> None:
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            if line.startswith(b"CLOSE"):
                return
            stream.write(line.rstrip(b"\n")[::-1] + b"\n")
            stream.flush()


def _serve(directory: Path) -> None:
    def end_with_standard_input() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_standard_input, daemon=True).start()
    context = _context(directory, ssl.Purpose.CLIENT_AUTH)
    with socket.create_server((_LOOPBACK, 0)) as listener:
        print(f"ACCEPT {_LOOPBACK}:{listener.getsockname()[1]}", flush=True)
        while True:
            plain, _ = listener.accept()
            try:
                _converse(context.wrap_socket(plain, server_side=True))
            except OSError as error:  # SSLError is one
                print(f"ERROR {error}", flush=True)


def _call(directory: Path, port: int, server_name: str) -> int:
    context = _context(directory, ssl.Purpose.SERVER_AUTH)
    try:
        with (
            socket.create_connection((_LOOPBACK, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=server_name) as connection,
        ):
            sent = sys.stdin.buffer.read()
            connection.sendall(sent)
            # With TLS 1.3 a server's refusal of this client arrives only here.
            with connection.makefile("rb") as stream:
                sys.stdout.buffer.write(stream.read())
    except OSError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(Path(sys.argv[2]))
    else:
        sys.exit(_call(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
