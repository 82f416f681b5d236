"""How a page begins, so that the next run finds it again and writes over it."""

from __future__ import annotations

from mtls_pki.rotation.text import one_line


def review_marker(stack: str) -> str:
    """Return how the one comment on the review of a stack begins."""
    return _marker("review", stack)


def drift_marker(stack: str) -> str:
    """Return how the one issue on the drift of a stack begins."""
    return _marker("drift", stack)


def _marker(kind: str, stack: str) -> str:
    # Shown as nothing in Markdown; a name must not end it.
    return f"<!-- mtls-pki {kind}: {one_line(stack).replace('>', '')} -->"
