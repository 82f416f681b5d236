"""Private keys in text: where a value holds one, in any encoding, and the text without it.

Policy pack and pages share this code: the policy names the place, a page leaves the key out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

# PKCS#8, SEC 1, PKCS#1, OpenSSH and OpenPGP, also within a larger text such as a JSON document, and
# also cut off before its end.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?"
    r"(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\Z)",
    re.DOTALL,
)
# The secret members of a JSON Web Key (RFC 7518 6.2.2, 6.3.2, 6.4.1), which has a member "kty".
_JWK_TYPE = re.compile(r'\\?"kty\\?"\s*:')
_JWK_SECRET = re.compile(
    r'(?P<member>\\?"(?:d|p|q|dp|dq|qi|k)\\?"\s*:\s*\\?")(?P<value>[A-Za-z0-9_-]{16,})'
)
# Base64, also in lines, whose ends a JSON document writes as "\n". Text that is shorter than the
# shortest DER of a key cannot be one.
_LINE_END = r"[ \t]*(?:\r?\n|\\r\\n|\\n)[ \t]*"
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{16,}}(?:{_LINE_END}[A-Za-z0-9+/]+)*={{0,2}}")
_SHORTEST_DER = 43
# Of 64 characters, for an RSA key of 16,384 bits.
_LINES = 260


def _encoded(text: bytes) -> Iterator[str]:
    """Yield the base64 of ``text`` for each of the three offsets at which it can begin."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + text).decode()
        # The first and the last characters also carry bits of the text around it.
        begin = -(-before * 8 // 6)
        yield whole[begin : (before + len(text)) * 8 // 6]


_ENCODED = tuple(_encoded(b"PRIVATE KEY"))


def holds_private_key(text: str) -> bool:
    """Tell whether ``text`` holds a private key: PEM, JWK, or PEM or DER in base64."""
    if _PEM.search(text) or (_JWK_TYPE.search(text) and _JWK_SECRET.search(text)):
        return True
    return any(_is_key(found[0]) for found in _BASE64.finditer(text))


def without_private_keys(text: str, mark: str) -> str:
    """Return ``text`` with ``mark`` in place of every private key, also of one that is cut off."""
    text = _PEM.sub(mark, text)
    if _JWK_TYPE.search(text):
        text = _JWK_SECRET.sub(lambda found: found["member"] + mark, text)
    return _BASE64.sub(lambda found: mark if _is_key(found[0]) else found[0], text)


def key_places(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every text in ``value`` that holds a private key: ``data.tls.key``."""
    if isinstance(value, str):
        if holds_private_key(value):
            yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from key_places(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from key_places(child, f"{path}[{index}]")


def _is_key(text: str) -> bool:
    """Tell whether a stretch of base64 is a key's DER, or holds one in PEM."""
    lines = re.split(_LINE_END, text.rstrip("="))
    compact = "".join(lines)
    if any(each in compact for each in _ENCODED):
        return True
    # The lines before and after may hold words of a text.
    return any(
        _is_der_key("".join(lines[number : number + _LINES]))
        for number, line in enumerate(lines)
        if line.startswith("M")
    )


def _is_der_key(text: str) -> bool:
    """Tell whether ``text`` begins with the DER of a key, whatever comes after it."""
    if len(text) < _SHORTEST_DER:
        return False
    # A SEQUENCE (0x30, so an M in base64), and its length in at most four bytes.
    head = base64.b64decode(text[:8])
    longer = head[1] & 0x7F if head[1] & 0x80 else 0
    if longer > 4:
        return False
    size = 2 + longer + (int.from_bytes(head[2 : 2 + longer], "big") if longer else head[1])
    der = text[: -(-size * 4 // 3)]
    try:
        load_der_private_key(base64.b64decode(der + "=" * (-len(der) % 4))[:size], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
