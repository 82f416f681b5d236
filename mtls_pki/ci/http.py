"""JSON over HTTP with a forge: the one place that knows the token, and never shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from mtls_pki.errors import CommandError

_SECONDS = 30
# Methods that may be repeated: a second POST could make a second comment.
_REPEATABLE = ("GET", "PATCH", "PUT")
_MESSAGE_LENGTH = 200


class JsonApi:
    """The REST API at one base URL."""

    def __init__(self, base: str, headers: Mapping[str, str], *, remedy: str) -> None:
        """Send nothing yet.

        Args:
            base: URL that every path is appended to.
            headers: sent with every request; the token is one of them.
            remedy: what to do if a request is refused.
        """
        self._base = base.rstrip("/")
        self._remedy = remedy
        self._session = requests.Session()
        self._session.headers.update(headers)
        # A redirect could carry the token to another host, and ~/.netrc could replace it.
        self._session.max_redirects = 0
        self._session.auth = _unchanged
        retry = Retry(
            3, backoff_factor=1, status_forcelist=(429, 502, 503), allowed_methods=_REPEATABLE
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the decoded answer.

        Raises:
            CommandError: unreachable, refused, or answered with something that is not JSON.
        """
        return self._decoded(method, path, self._send(method, f"{self._base}{path}", body))

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a collection, page by page (RFC 8288 ``Link: rel=next``).

        Raises:
            CommandError: as :meth:`call`.
        """
        separator = "&" if "?" in path else "?"
        address: str | None = f"{self._base}{path}{separator}per_page=100"
        while address is not None:
            answer = self._send("GET", address, None)
            yield from self._decoded("GET", path, answer)
            address = answer.links.get("next", {}).get("url")
            if address is not None and not address.startswith(f"{self._base}/"):
                raise CommandError(
                    f"GET {path}: the next page is at another address; {self._remedy}"
                )

    def _decoded(self, method: str, path: str, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise CommandError(
                f"{method} {path}: {self._base} does not answer in JSON; is this its address?"
            ) from None

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> requests.Response:
        place = f"{method} {url.removeprefix(self._base)}"
        try:
            answer = self._session.request(
                method, url, json=body, timeout=_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise CommandError(
                f"{place}: {self._base} does not answer ({type(error).__name__}); run it again"
            ) from None
        if 200 <= answer.status_code < 300:
            return answer
        raise CommandError(f"{place}: {answer.status_code} {_message(answer)}; {self._remedy}")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _message(answer: requests.Response) -> str:
    """Return the forge's reason for a refusal, on one line."""
    try:
        said = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        said = answer.reason
    return "".join(c if c.isprintable() else " " for c in str(said))[:_MESSAGE_LENGTH]
