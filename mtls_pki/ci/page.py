"""The few pages that are written here: of a preview without a page, and of drift."""

from __future__ import annotations

from collections.abc import Sequence

from mtls_pki.pages.document import (
    Block,
    Code,
    Document,
    Heading,
    Line,
    Paragraph,
    Quoted,
)
from mtls_pki.pages.markers import drift_marker, review_marker


def no_page(stack: str, commit: str) -> Document:
    """Return the comment of a preview that failed before there was anything to review."""
    title = f"Stack {stack}: the preview failed"
    said = Line(
        "Commit ",
        Code(text=commit),
        ". Nothing was changed, and there is nothing to review; the log of this job says why.",
    )
    return Document(
        marker=review_marker(stack),
        title=title,
        blocks=(Heading(level=3, line=Line(title)), Paragraph(line=said)),
    )


def drift_page(stack: str, sections: Sequence[tuple[str, Sequence[str]]]) -> Document:
    """Return the text of the issue: a heading and its lines for each section that has lines."""
    said = Line(
        "What runs differs from what stack ",
        Code(text=stack),
        " declares, or needs attention soon. Every run writes this text again, and the first run "
        "that finds nothing closes the issue; docs/review-workflows.md says what to do.",
    )
    blocks: list[Block] = [Paragraph(line=said)]
    for title, lines in sections:
        if lines:
            blocks += [Heading(level=3, line=Line(title)), Quoted(lines=tuple(lines))]
    return Document(
        marker=drift_marker(stack), title=f"Drift of stack {stack}", blocks=tuple(blocks)
    )
