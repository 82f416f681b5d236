"""A server that goes away while it is being asked, as a Vault does that restarts."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from vaults.connection import Vault, VaultAddress, VaultError

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing resets the connection


def test_a_reset_connection_is_named_in_plain_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(VaultError) as told:
            Vault(VaultAddress(url=url)).server()
        thread.join()
    assert str(told.value).startswith(f"{url} cannot be reached ([Errno ")
    assert "Connection reset by peer" in str(told.value)
