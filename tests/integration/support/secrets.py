"""Private keys where none may be."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping

# Any PEM private key: PKCS#8, SEC 1, PKCS#1, OpenSSH.
_MARKER = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_SHORTEST_LINE = 40


def _base64_of(text: str) -> tuple[str, ...]:
    """What ``text`` looks like inside a base64 text, at each of the three alignments."""
    padded = (base64.b64encode(b"\0" * shift + text.encode()).decode() for shift in range(3))
    return tuple(whole[4 * (shift > 0) : -4] for shift, whole in enumerate(padded))


_ENCODED_MARKERS = _base64_of("PRIVATE KEY-----")


def assert_no_private_key(texts: Mapping[str, str], *, keys: Iterable[str] = ()) -> None:
    """Fail, naming the place and showing nothing of it, where a private key stands in a text.

    Args:
        texts: what to search, by the name of the place.
        keys: PEM of keys that are known to be in use; no line of them may stand anywhere, with or
            without its marker.
    """
    lines = {
        line
        for pem in keys
        for line in pem.splitlines()
        if len(line) >= _SHORTEST_LINE and not line.startswith("-----")
    }
    wanted = {*_ENCODED_MARKERS, *lines, *(part for line in lines for part in _base64_of(line))}
    found = [
        place
        for place, text in texts.items()
        if _MARKER.search(text) or any(needle in text for needle in wanted)
    ]
    assert not found, f"a private key stands in clear text in: {', '.join(found)}"
