"""Review pages without what is new in every run, to compare them with golden files."""

from __future__ import annotations

import re

_DIFF = re.compile(r"(?<=```diff\n).*?(?=```)", re.DOTALL)
# Of a resource; its properties are indented below it.
_ENTRY = re.compile(r"^(?=[-+!] \w)", re.MULTILINE)


def scrubbed(page: str) -> str:
    """Return a page with names in place of keys, commits and times, and its lists in one order.

    The engine registers resources side by side, so their order is another one in every run, and a
    trust bundle is in the order of fingerprints, which are random.
    """
    page = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", page)
    page = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", page)
    names: dict[str, str] = {}

    def key(found: re.Match[str]) -> str:
        return names.setdefault(found[0][:16], f"KEY{len(names) + 1}")

    page = re.sub(r"\b(?:[0-9a-f]{64}|[0-9a-f]{16})\b", key, page)
    page = _DIFF.sub(lambda found: "".join(sorted(_ENTRY.split(found[0]))), page)
    return re.sub(r"(?<=: )(?:g\d|CN=).*, .*", _sorted, page)


def _sorted(found: re.Match[str]) -> str:
    return ", ".join(sorted(found[0].split(", ")))
