"""An API server that serves collections in pages, for evidence to be read from."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mtls_pki.clusters.answers import GROUPS, ResourcePath
from tests.loopback import serving
from tests.unit.clusters import wire

Object = dict[str, Any]


@dataclass(kw_only=True)
class Api:
    """What one API server holds.

    Attributes:
        objects: path of a collection or of an object -> items of it, or the object itself, or text
            that is sent as it is.
        served: version of an API -> its resources, for discovery. A kind that is neither here nor
            in ``objects`` is not served.
        uid: of the namespace ``kube-system``.
        refused: path -> HTTP status to answer instead.
        said: path -> status and body to answer instead, as something between might.
        expire: paths whose next continue token is answered with 410 Gone, once each.
        always_expired: paths whose continue tokens are all too old.
        page_size: a cap on what the client asks for, as a server may set one.
        asked: every path with its query.
        accepted: every path with the type that was to be answered.
        between: path -> what to do when its first page is asked for, to change things meanwhile.
        date: the server's clock, as a ``Date`` header; None: this machine's.
        url: where it is served.
    """

    objects: dict[str, list[Object] | Object | str] = field(default_factory=dict)
    served: dict[str, set[str]] = field(
        default_factory=lambda: {version: set(kinds) for version, kinds in wire.SERVED.items()}
    )
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    refused: dict[str, int] = field(default_factory=dict)
    said: dict[str, tuple[int, Object | str]] = field(default_factory=dict)
    expire: set[str] = field(default_factory=set)
    always_expired: set[str] = field(default_factory=set)
    page_size: int = 500
    asked: list[str] = field(default_factory=list)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    between: dict[str, Any] = field(default_factory=dict)
    date: str | None = None
    url: str = ""

    def answer(self, target: str, accept: str = "") -> tuple[int, Object | str]:
        """Return the status and the body for a GET of ``target``, in the type to ``accept``."""
        self.asked.append(target)
        parts = urlsplit(target)
        self.accepted.append((parts.path, accept))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in self.refused:
            return self.refused[parts.path], {"kind": "Status"}
        if parts.path in self.said:
            return self.said[parts.path]
        if "continue" not in query and parts.path in self.between:
            self.between.pop(parts.path)()
        held = self.objects.get(parts.path)
        if held is None and "as=PartialObjectMetadataList" in accept:
            held = []
        if held is None:
            status, body = self._not_held(parts.path)
            return status, wire.in_type(accept, body)
        if isinstance(held, str):
            return 200, held
        if not isinstance(held, list):
            return 200, wire.whole(parts.path, held)
        if "continue" in query and parts.path in self.expire | self.always_expired:
            self.expire.discard(parts.path)
            return 410, {"kind": "Status", "reason": "Expired"}
        return 200, wire.in_type(accept, self._page(parts.path, held, query))

    def _not_held(self, path: str) -> tuple[int, Object | str]:
        if path == GROUPS:
            return 200, wire.group_list(self.served)
        version = path.removeprefix(f"{GROUPS}/")
        if version in self.served:
            return 200, wire.resource_list(version, self.served[version])
        parts = ResourcePath.parse(path)
        if parts is None or not self._serves(parts):
            return 404, wire.NO_SUCH_PATH
        if parts.resource == "namespaces" and parts.name == "kube-system":
            return 200, wire.whole(path, {"metadata": {"uid": self.uid}})
        return wire.not_found(path) if parts.name else (200, wire.page(path, []))

    def _serves(self, parts: ResourcePath) -> bool:
        return not parts.group or parts.resource in self.served.get(parts.api_version, ())

    def _page(self, path: str, held: list[Object], query: dict[str, str]) -> Object:
        selector = query.get("fieldSelector", "")
        if selector:
            name = selector.removeprefix("metadata.name=")
            held = [item for item in held if item["metadata"]["name"] == name]
        if selector := query.get("labelSelector", ""):
            name, _, value = selector.partition("=")
            held = [i for i in held if (i["metadata"].get("labels") or {}).get(name) == value]
        start = int(base64.b64decode(query.get("continue", "")) or 0)
        end = start + min(self.page_size, int(query.get("limit", "500")))
        token = base64.b64encode(str(end).encode()).decode() if end < len(held) else ""
        return wire.page(path, held[start:end], token)


@contextmanager
def served(api: Api) -> Iterator[Api]:
    """Serve ``api`` on a free loopback port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers["Accept"] or "")
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return api.date or super().date_time_string(timestamp)

    with serving(Handler) as url:
        api.url = url
        yield api
