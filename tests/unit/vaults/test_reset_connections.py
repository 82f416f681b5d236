"""A server that goes away while it is being asked, as a Vault does that restarts."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from mtls_pki.backends.vault.connection import Vault
from mtls_pki.backends.vault.transport import VaultAddress, VaultError

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing resets the connection


@pytest.mark.parametrize(
    ("linger", "said"),
    [(_RESET, "([Errno "), (None, "([SSL: UNEXPECTED_EOF_WHILE_READING]")],
    ids=["reset", "closed"],
)
def test_a_handshake_that_is_cut_off_is_named_in_plain_words(
    linger: bytes | None, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut_off() -> None:
            connection, _ = server.accept()
            # All of the greeting: what is unread would make any close a reset.
            connection.recv(1 if linger else 1 << 16)
            if linger:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()

        thread = threading.Thread(target=cut_off)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(VaultError) as told:
            Vault(VaultAddress(url=url)).server()
        thread.join()
    assert str(told.value).startswith(f"{url} cannot be reached {said}")
    assert "does not verify" not in str(told.value)
