"""A minimal client of the Vault API: one request, its answer, its error.

Neither a body nor a token ever stands in a message: both may be a key of the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from lab.errors import LabError

_TOKEN_HEADER = "X-Vault-Token"  # noqa: S105 - the header's name


class VaultError(LabError):
    """The server refused a request.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class UnreachableVaultError(LabError):
    """The server cannot be reached (yet)."""


class VaultClient:
    """The server at ``address``, whose certificate is one of ``ca_file``."""

    def __init__(self, *, address: str, ca_file: Path, token: str | None = None) -> None:
        self._address = address
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca_file),
            headers={} if token is None else {_TOKEN_HEADER: token},
            retries=False,
            timeout=urllib3.Timeout(connect=2, read=30),
        )

    def __enter__(self) -> VaultClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to one request: decoded JSON, else text (PEM); None where it is empty.

        Args:
            method: such as ``GET``; ``LIST`` is understood too.
            path: below ``/v1/``, such as ``sys/seal-status``.
            body: sent as JSON.

        Raises:
            VaultError: any answer but 2xx, with the server's own message.
            UnreachableVaultError: no answer.
        """
        try:
            answer = self._pool.request(
                method,
                f"{self._address}/v1/{path}",
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._pool.headers, "Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableVaultError(f"{self._address} does not answer: {error}") from error
        if not 200 <= answer.status < 300:
            said = _errors(answer.data)
            raise VaultError(answer.status, f"{method} {path}: {answer.status} {said}".rstrip())
        text = answer.data.decode(errors="replace")
        return json.loads(text) if text.startswith("{") else text or None


def _errors(data: bytes) -> str:
    try:
        return "; ".join(" ".join(str(error).split()) for error in json.loads(data)["errors"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()
