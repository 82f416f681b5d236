"""Pages that quote other people's text."""

from __future__ import annotations

from mtls_pki.ci.page import drift_page, no_page
from mtls_pki.pages.document import Document, Quoted
from mtls_pki.pages.markdown import LONGEST_PAGE, markdown_page
from mtls_pki.pages.markers import review_marker


def quoted(lines: list[str]) -> str:
    """Lines that others wrote, as Markdown."""
    block = Quoted(lines=tuple(lines))
    return markdown_page(Document(marker="", title="", blocks=(block,)))


HOSTILE = "</pre>\n@team <script> \x1b[31m `x`"


def test_quoted_text_is_no_markup() -> None:
    text = quoted([HOSTILE])
    assert text.count("<") == 2
    assert "\x1b" not in text
    assert text.count("\n") == 3


def test_a_private_key_is_left_out() -> None:
    key = "-----BEGIN " + "EC PRIVATE KEY-----\nMHcCAQEE\n"
    assert "MHcC" not in quoted([f"data: {key}"])
    assert "[private key removed]" in quoted([f"data: {key}"])


def test_long_lists_end_with_a_count() -> None:
    lines = [f"line {n:04}" for n in range(10_000)]
    *shown, last = quoted(lines).splitlines()[1:-1]
    assert shown == lines[: len(shown)]
    assert last == f"and {len(lines) - len(shown)} more"
    assert len(quoted(["x" * 10_000])) < 1000


def test_the_worst_pages_fit_into_a_comment() -> None:
    lines = ["<&>" * 1000] * 1000
    assert len(markdown_page(drift_page("dev", [("one", lines)] * 3))) < LONGEST_PAGE
    assert markdown_page(no_page("dev", "a" * 40)).startswith(review_marker("dev"))


def test_sections_without_lines_are_left_out() -> None:
    page = markdown_page(drift_page("dev", [("one", ["a"]), ("two", [])]))
    assert "### one" in page
    assert "### two" not in page
