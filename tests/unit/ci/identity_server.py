"""A forge's identity provider on loopback: it gives a job its token, and its keys to anybody.

As GitHub documents it: ``ACTIONS_ID_TOKEN_REQUEST_URL`` has a query already, the audience is added
to it, and the answer is ``{"value": TOKEN}``. Discovery and keys are as OpenID Connect Discovery
1.0 and RFC 7517 have them, so a real Vault verifies its tokens as it does the forge's.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.loopback import serving

REQUEST_TOKEN = "request-token-77c0"  # noqa: S105 of a server on loopback
_KEY_ID = "of-the-forge"


@dataclass(kw_only=True)
class IdentityServer:
    """What it says of the job that asks.

    Attributes:
        url: the issuer.
        claims: of the job, besides issuer, audience and times.
        lifetime: of a token, in seconds.
        key: signs tokens; another one than ``published`` makes them forged ones.
        published: the key that discovery leads to.
        issued: every token that was given out.
    """

    url: str
    claims: dict[str, str] = field(default_factory=dict)
    lifetime: int = 600
    published: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))
    key: RSAPrivateKey | None = None
    issued: list[str] = field(default_factory=list)

    def github(self) -> dict[str, str]:
        """What the runner sets where the job has the permission ``id-token: write``."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    def token(self, audience: str | list[str]) -> str:
        """A signed JWT (RFC 7515, RS256)."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            **self.claims,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = (self.key or self.published).sign(signed.encode(), PKCS1v15(), hashes.SHA256())
        self.issued.append(f"{signed}.{_base64url(signature)}")
        return self.issued[-1]

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        """Return what is sent: JSON, or text as it is; None for 404."""
        match path:
            case "/token":
                return {"count": 1, "value": self.token(query["audience"][0])}
            case "/.well-known/openid-configuration":
                return {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/jwks",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                }
            case "/jwks":
                numbers = self.published.public_key().public_numbers()
                key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": _KEY_ID}
                return {"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]}
            case "/page":
                return "<html>Sign in</html>"
        return None


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@contextmanager
def serve_identities() -> Iterator[IdentityServer]:
    """Serve on a free loopback port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            given = self.headers.get("Authorization")
            if parts.path == "/token" and given != f"Bearer {REQUEST_TOKEN}":
                self._send(401, {"message": "Bad credentials"})
                return
            answer = server.answer(parts.path, parse_qs(parts.query))
            self._send(404 if answer is None else 200, answer or {"message": "Not Found"})

        def _send(self, status: int, answer: Any) -> None:
            content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with serving(Handler) as url:
        server = IdentityServer(url=url)
        yield server
