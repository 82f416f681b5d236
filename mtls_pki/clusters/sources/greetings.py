"""What a server wants to hear, or says, before TLS begins: by the scheme of its endpoint.

Sources: PostgreSQL documentation, "Message Flow" (SSL Session Encryption); NATS documentation,
"Client Protocol" (INFO).
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping

Greeting = Callable[[socket.socket], None]
"""Brings a fresh connection to where TLS begins; raises OSError where the server offers none."""

_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_ACCEPTED = b"S"
# INFO of a large cluster lists its servers; the default of the server's own max_control_line.
_LONGEST_INFO = 64 * 1024


def _postgresql(plain: socket.socket) -> None:
    plain.sendall(_SSL_REQUEST)
    if plain.recv(1) != _ACCEPTED:
        raise ConnectionError("it does not offer TLS (ssl = on is missing)")


def _nats(plain: socket.socket) -> None:
    line = b""
    # Byte by byte: what follows the line belongs to TLS.
    while not line.endswith(b"\r\n"):
        byte = plain.recv(1)
        if not byte or len(line) > _LONGEST_INFO:
            raise ConnectionError("it is no NATS server: no INFO came")
        line += byte
    verb, _, info = line.strip().partition(b" ")
    try:
        offered = json.loads(info)
    except ValueError:
        offered = None
    if verb != b"INFO" or not isinstance(offered, dict):
        raise ConnectionError("it is no NATS server: no INFO came")
    if not (offered.get("tls_required") or offered.get("tls_available")):
        raise ConnectionError("it does not offer TLS (a tls block is missing)")


GREETINGS: Mapping[str, Greeting] = {"postgresql": _postgresql, "nats": _nats}
"""By scheme; an endpoint without one begins with TLS."""
