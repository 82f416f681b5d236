"""Choosing ports."""

from __future__ import annotations

import socket

import pytest

from lab import ports
from lab.errors import LabError


def test_a_listening_port_is_not_free() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.accepts(port)
    assert not ports.accepts(port)


def test_the_remembered_port_is_kept_if_free() -> None:
    assert ports.choose(20000, free=lambda port: True) == 20000


def test_a_taken_port_is_replaced() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert ports.choose(taken) != taken


def test_a_port_of_another_process_is_avoided() -> None:
    assert ports.choose(20000, avoid=[20000], free=lambda port: True) != 20000


def test_no_port_is_given_out_twice() -> None:
    chosen = [ports.choose(free=lambda port: True) for _ in range(100)]
    assert len(set(chosen)) == len(chosen)


def test_chosen_ports_are_out_of_the_way_of_passing_clients() -> None:
    # Linux's default range for outgoing connections begins at 32768.
    assert ports.choose() < 32768


def test_having_none_is_said() -> None:
    with pytest.raises(LabError, match="no free TCP port"):
        ports.choose(free=lambda port: False)
