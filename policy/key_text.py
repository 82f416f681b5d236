"""Private keys as text: where they stand in a value, in whatever spelling."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

# PKCS#8, SEC 1, PKCS#1 and OpenSSH, also within a larger text such as a JSON document.
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# "-----BEGIN " in base64, as in binaryData or in the credentials of a kubeconfig.
_ENCODED_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{43,}={0,2}\s*")


def holds_private_key(text: str) -> bool:
    """Tell whether a private key stands in ``text``: PEM, PEM in base64, or DER in base64."""
    if _PEM.search(text):
        return True
    if any(_PEM.search(_decoded(found[0])) for found in _ENCODED_PEM.finditer(text)):
        return True
    return bool(_BASE64.fullmatch(text)) and _is_der_key(text)


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


def _decoded(text: str) -> str:
    whole = text[: len(text) // 4 * 4]
    return base64.b64decode(whole).decode("ascii", errors="replace")


def _is_der_key(text: str) -> bool:
    try:
        load_der_private_key(base64.b64decode("".join(text.split()), validate=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
