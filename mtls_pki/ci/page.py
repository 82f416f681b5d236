"""The few pages that are written here: a preview without a page, findings, drift.

They quote other people's text (resource names, messages of clusters), so all of it is shown as
text and none of it as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mtls_pki.pages.markers import drift_marker, review_marker
from mtls_pki.rotation.text import redacted

# Three sections fit into an issue: 65,536 characters on GitHub, 1,000,000 on GitLab.
_SECTION_LENGTH = 20_000
_LINE_LENGTH = 600


def quoted(lines: Sequence[str]) -> str:
    """Return lines as preformatted text. Long lines and lists are cut, private keys left out."""
    shown: list[str] = []
    for line in map(_clean, lines):
        if sum(map(len, shown)) + len(shown) + len(line) > _SECTION_LENGTH:
            shown.append(f"and {len(lines) - len(shown)} more")
            break
        shown.append(line)
    return "<pre>\n" + "\n".join(shown) + "\n</pre>\n"


def no_page(stack: str, commit: str) -> str:
    """Return the comment of a preview that failed before there was anything to review."""
    return (
        f"{review_marker(stack)}\n### Stack {escape(stack)}: the preview failed\n\n"
        f"Commit {commit}. Nothing was changed, and there is nothing to review; the log of this "
        "job says why.\n"
    )


def drift_page(stack: str, sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the text of the issue: a heading and the lines of each section that has lines."""
    parts = [
        f"{drift_marker(stack)}\nWhat runs differs from what stack {escape(stack)} declares, or "
        "needs attention soon. Every run writes this text again, and the first run that finds "
        "nothing closes the issue; docs/review-workflows.md says what to do.\n"
    ]
    parts += [f"\n### {title}\n\n{quoted(lines)}" for title, lines in sections if lines]
    return "".join(parts)


def _clean(line: str) -> str:
    line = "".join(char if char.isprintable() else " " for char in redacted(line))
    return escape(line if len(line) <= _LINE_LENGTH else f"{line[:_LINE_LENGTH]}...")
