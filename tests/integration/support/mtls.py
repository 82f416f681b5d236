"""Mutual TLS between processes, each side on an implementation of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.integration.support.chains import blocks
from tests.integration.support.project import PROJECT

_PEER = (sys.executable, "-m", "tests.integration.support.peer")
# A server must not outlive a test session that was killed.
_AT_MOST = ("timeout", "120")
_SENT, _EXPECTED = "ping\nCLOSE\n", "gnip"


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """How a client fared.

    Attributes:
        held: whether both sides accepted each other and data went both ways.
        reason: the client's own words.
    """

    held: bool
    reason: str


def _python_server(directory: Path) -> list[str]:
    return [*_AT_MOST, *_PEER, "serve", str(directory)]


def _openssl_server(directory: Path) -> list[str]:
    return [
        *_AT_MOST, "openssl", "s_server", "-accept", "127.0.0.1:0", "-rev",
        *_openssl_files(directory), "-Verify", "3",
    ]  # fmt: skip


def _python_client(directory: Path, port: int, server_name: str) -> list[str]:
    return [*_AT_MOST, *_PEER, "call", str(directory), str(port), server_name]


def _openssl_client(directory: Path, port: int, server_name: str) -> list[str]:
    return [
        *_AT_MOST, "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
        *_openssl_files(directory), "-servername", server_name, "-verify_hostname", server_name,
    ]  # fmt: skip


def _openssl_files(directory: Path) -> list[str]:
    # openssl wants the leaf and what is presented beside it in two files.
    _, *rest = blocks((directory / "tls.crt").read_text())
    chain = directory / "chain.crt"
    chain.write_text("".join(rest))
    return [
        "-cert", str(directory / "tls.crt"), "-key", str(directory / "tls.key"),
        *(["-cert_chain", str(chain)] if rest else []),
        "-CAfile", str(directory / "bundle.crt"), "-no-CApath", "-no-CAstore",
        "-verify_return_error",
    ]  # fmt: skip


SERVERS: dict[str, Callable[[Path], list[str]]] = {
    "python": _python_server,
    "openssl": _openssl_server,
}
CLIENTS: dict[str, Callable[[Path, int, str], list[str]]] = {
    "python": _python_client,
    "openssl": _openssl_client,
}


@contextlib.contextmanager
def server(kind: str, directory: Path) -> Iterator[int]:
    """Run a server with the files of ``directory``; gives the port that it listens on."""
    process = subprocess.Popen(
        SERVERS[kind](directory),
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("ACCEPT "):
                    yield int(line.rpartition(":")[2])
                    return
            raise AssertionError(f"the {kind} server did not start: {''.join(said)}")
        finally:
            process.terminate()


def call(kind: str, directory: Path, port: int, server_name: str) -> Conversation:
    """Have a client with the files of ``directory`` talk to the server on ``port``."""
    done = subprocess.run(
        CLIENTS[kind](directory, port, server_name),
        cwd=PROJECT,
        input=_SENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Conversation(held=_EXPECTED in done.stdout, reason=(done.stdout + done.stderr).strip())
