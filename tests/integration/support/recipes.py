"""The files that docs/workloads.md shows, for tests to run them."""

from __future__ import annotations

import re

from lab.project_copy import CHECKOUT

_PAGE = CHECKOUT / "docs" / "workloads.md"
_BLOCK = re.compile(r"^```\w+ (?P<name>\S+)\n(?P<text>.*?)^```$", re.M | re.S)


def shown(name: str) -> str:
    """Return the file ``name`` as docs/workloads.md shows it."""
    found = [m["text"] for m in _BLOCK.finditer(_PAGE.read_text()) if m["name"] == name]
    assert len(found) == 1, name
    return found[0]
