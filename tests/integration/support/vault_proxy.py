"""Faults of a Vault that the real server cannot be made to have: a proxy that makes them."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import urllib3

from lab.certificates import Pair, Subject, ensure_leaf
from tests.integration.support.vault import Vault
from tests.loopback import serving

# Path below /v1/ and decoded body -> the body that goes on.
Change = Callable[[str, Any], Any]
_KEPT = ("X-Vault-Token", "X-Vault-Namespace", "Content-Type", "X-Vault-Request")


def _unchanged(path: str, body: Any) -> Any:
    return body


@contextlib.contextmanager
def between(
    vault: Vault,
    directory: Path,
    *,
    request: Change = _unchanged,
    answer: Change = _unchanged,
) -> Iterator[str]:
    """Stand before ``vault``, with a certificate of the same CA; gives the URL.

    Args:
        vault: everything goes on to it.
        directory: for the certificate and its key.
        request: changes what is sent.
        answer: changes what comes back.
    """

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            # `do_GET`, `do_LIST`, ...: every method goes the same way.
            if name.startswith("do_"):
                return self._pass_on
            raise AttributeError(name)

        def _pass_on(self) -> None:
            path = self.path.removeprefix("/v1/")
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = _changed(sent, lambda decoded: request(path, decoded))
            with urllib3.PoolManager(ca_certs=str(vault.ca_file), retries=False) as pool:
                got = pool.request(
                    self.command,
                    f"{vault.address}{self.path}",
                    body=body or None,
                    headers={k: v for k in _KEPT if (v := self.headers.get(k))},
                )
            content = _changed(got.data, lambda decoded: answer(path, decoded))
            self.send_response(got.status)
            self.send_header("Content-Type", got.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    own = Pair.at(directory / "proxy")
    ensure_leaf(
        own,
        Subject(common_name="proxy", addresses=("127.0.0.1",)),
        authority=Pair.at(vault.ca_file.with_suffix("")),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with serving(Handler, tls=context) as url:
        yield url


def _changed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    return json.dumps(change(json.loads(content))).encode() if content[:1] == b"{" else content
