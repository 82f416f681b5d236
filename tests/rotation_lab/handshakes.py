"""Mutual TLS handshakes between parties that are given as PEM, by Python's ssl and Go's crypto/tls.

Both take a list of cells and return for each what went wrong, an empty string for nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).parent / "handshake"


@dataclass(frozen=True, kw_only=True)
class Party:
    """What one side has mounted: ``chain`` (leaf first), ``key`` and the trusted ``roots``."""

    chain: str
    key: str
    roots: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One handshake; ``host`` is the name that the client wants to see."""

    host: str
    client: Party
    server: Party


def python_ssl(cells: Sequence[Cell]) -> list[str]:
    """Shake hands in memory with OpenSSL, as Python configures it, and ``VERIFY_X509_STRICT``."""
    return [_shake(cell) for cell in cells]


def go_tls(cells: Sequence[Cell]) -> list[str]:
    """Shake hands over ``net.Pipe`` with Go's ``crypto/tls``."""
    done = subprocess.run(
        [_build()],
        input=json.dumps([asdict(cell) for cell in cells]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[str] = json.loads(done.stdout)
    return results


STACKS: Mapping[str, Callable[[Sequence[Cell]], list[str]]] = {"ssl": python_ssl, "go": go_tls}


def _context(protocol: int, party: Party) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=party.roots)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(party.chain + party.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _shake(cell: Cell) -> str:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _context(ssl.PROTOCOL_TLS_CLIENT, cell.client).wrap_bio(
        to_client, to_server, server_hostname=cell.host
    )
    server = _context(ssl.PROTOCOL_TLS_SERVER, cell.server).wrap_bio(
        to_server, to_client, server_side=True
    )
    waiting = [client, server]
    # A full TLS 1.3 handshake takes three flights.
    for _ in range(4):
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error)
            waiting.remove(side)
    return "" if not waiting else "the handshake did not come to an end"


@cache
def _build() -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.fail("go is not on PATH; install Go 1.24 or later", pytrace=False)
    binary = Path(tempfile.mkdtemp(prefix="mtls-pki-handshake-")) / "handshake"
    # No dependencies, so nothing is fetched: neither modules nor another toolchain.
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    done = subprocess.run(
        [go, "build", "-trimpath", "-o", str(binary), "."],
        cwd=_PROGRAM,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return binary
