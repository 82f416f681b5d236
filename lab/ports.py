"""Free TCP ports on loopback, remembered from one start to the next."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterable

from lab.errors import LabError

LOOPBACK = "127.0.0.1"
# Below the range from which systems take ports of outgoing connections (Linux: 32768 and up), so
# that a port found free here is not taken by a passing client before the server binds it.
_FIRST, _LAST = 12000, 32000
_ATTEMPTS = 200

_lock = threading.Lock()
_promised: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could bind ``port`` on loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do: connections in TIME_WAIT of an earlier server are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether something listens on ``port`` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def choose(
    remembered: int | None = None,
    *,
    avoid: Iterable[int] = (),
    free: Callable[[int], bool] = is_free,
) -> int:
    """``remembered`` if it can be bound, else another free port.

    No port is given out twice by one program, so control planes may start in parallel.

    Args:
        remembered: the port of the last start.
        avoid: ports promised to other processes of the same control plane.
        free: the test for a free port.

    Raises:
        LabError: no free port was found.
    """
    avoided = frozenset(avoid)
    with _lock:
        if remembered is not None and remembered not in avoided and free(remembered):
            _promised.add(remembered)
            return remembered
        for _ in range(_ATTEMPTS):
            port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
            if port not in avoided and port not in _promised and free(port):
                _promised.add(port)
                return port
    raise LabError(
        f"no free TCP port on {LOOPBACK} between {_FIRST} and {_LAST}: "
        "stop some servers and try again"
    )
