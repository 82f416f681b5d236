"""A page begins as the next run looks for it, whatever the stack is called."""

from __future__ import annotations

import pytest

from mtls_pki.ci.page import drift_page, no_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pages.markers import drift_marker, review_marker


def test_the_markers_tell_stacks_and_kinds_apart() -> None:
    assert review_marker("dev") == "<!-- mtls-pki review: dev -->"
    assert drift_marker("dev") == "<!-- mtls-pki drift: dev -->"


@pytest.mark.parametrize("stack", ["dev", "a-->b", "a\nb", "a\x1b[1m"])
def test_a_marker_is_one_comment_and_every_page_begins_with_it(stack: str) -> None:
    marker = review_marker(stack)
    assert marker.isprintable()
    assert marker.count("-->") == 1
    assert marker.endswith("-->")
    assert markdown_page(no_page(stack, "c0ffee")).startswith(f"{marker}\n")
    assert markdown_page(drift_page(stack, ())).startswith(f"{drift_marker(stack)}\n")
