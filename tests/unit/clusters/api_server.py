"""A tiny HTTP server in an API server's place: answers what a test tells it, and counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml

from mtls_pki.clusters.answers import GROUPS, ResourcePath
from mtls_pki.clusters.connection import ClusterAddress
from tests.loopback import serving
from tests.unit.clusters import wire

Answer = tuple[int, Any]


@dataclass(kw_only=True)
class ApiServer:
    """What the server at ``url`` answers, and what it was asked.

    Attributes:
        answers: path without its query -> status and body (text, or what is sent as JSON). What an
            object always has may be left out of one that is found.
        otherwise: the answer to all other paths; None: nothing is there, and discovery says so.
        served: the versions of APIs that discovery names.
        slow: set it to let nothing be answered before the test ends.
        hang_up: close connections without an answer.
        requests: path and query of each request.
        headers: the headers of each request, by lower-case name.
        sent: method and body of each request that had one.
    """

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    otherwise: Answer | None = None
    served: set[str] = field(default_factory=set)
    slow: bool = False
    hang_up: bool = False
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> Answer:
        """Return what is answered at a path without its query."""
        status, body = self.answers.get(path) or self.otherwise or self._nothing(path)
        if status == 200 and isinstance(body, dict):
            body = wire.whole(path, body)
        return status, body

    def _nothing(self, path: str) -> Answer:
        if path == GROUPS:
            return 200, wire.group_list(self.served)
        parts = ResourcePath.parse(path)
        named = (
            parts is not None
            and parts.name
            and (not parts.group or parts.api_version in self.served)
        )
        return wire.not_found(path) if named else (404, wire.NO_SUCH_PATH)


@contextmanager
def serve() -> Iterator[ApiServer]:
    """Serve on a free loopback port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.requests.append(self.path)
            api.headers.append({name.lower(): value for name, value in self.headers.items()})
            if length := int(self.headers["Content-Length"] or 0):
                api.sent.append((self.command, json.loads(self.rfile.read(length))))
            if api.slow:
                api.ended.wait(10)
            if api.slow or api.hang_up:
                self.close_connection = True
                return
            status, body = api.answer(self.path.partition("?")[0])
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_PATCH(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

    with serving(Handler) as url:
        api = ApiServer(url=url)
        try:
            yield api
        finally:
            api.ended.set()


def address(directory: Path, url: str, *, name: str = "dev", token: str = "") -> ClusterAddress:
    """Write a kubeconfig with one context, named as the cluster, and return where it is."""
    kubeconfig = directory / f"{name}.kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": name,
                "clusters": [{"name": name, "cluster": {"server": url}}],
                "users": [{"name": name, "user": {"token": token} if token else {}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            }
        )
    )
    return ClusterAddress(name=name, kubeconfig=str(kubeconfig), context=name)
