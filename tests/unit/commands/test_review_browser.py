"""The HTML page in a real browser, and the picture of it that README shows.

``UPDATE_PICTURE=1 pytest tests/unit/commands/test_review_browser.py`` takes the picture again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile, PngInfo

from mtls_pki.pages.html import html_page
from mtls_pki.review.page import review_page
from tests.unit.review.previews import reviewed

PICTURE = Path(__file__).parents[3] / "docs" / "review.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1100, 1600
MARGIN = 16
# Of the boxes of incoming, issuing and outgoing anchors, and of a callout.
COLOURS = {(0xDD, 0xF4, 0xFF), (0xDA, 0xFB, 0xE1), (0xFF, 0xF8, 0xC5), (0xF0, 0xFB, 0xF3)}


def page() -> str:
    return html_page(review_page(reviewed("promote", commit="0f3c2a1")))


@pytest.fixture(scope="module")
def screenshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Image.Image, str]:
    """The page as the browser draws it, and what the browser said meanwhile."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is on PATH; Debian: apt-get install chromium")
    directory = tmp_path_factory.mktemp("browser")
    source, taken = directory / "page.html", directory / "page.png"
    source.write_text(page(), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--enable-logging=stderr", "--force-device-scale-factor=1"),
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={taken}",
            source.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert taken.exists(), done.stderr
    return Image.open(taken).convert("RGB"), done.stderr


def test_a_browser_draws_the_whole_page(screenshot: tuple[Image.Image, str]) -> None:
    drawn, said = screenshot
    colours = {colour for _, colour in drawn.getcolors(maxcolors=1 << 24) or ()}
    assert colours >= COLOURS
    assert "CONSOLE" not in said, said
    left, top, right, bottom = box(drawn)
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT


def test_the_picture_in_the_docs_is_of_the_page_as_it_is(
    screenshot: tuple[Image.Image, str],
) -> None:
    digest = hashlib.sha256(page().encode()).hexdigest()
    if "UPDATE_PICTURE" in os.environ:
        drawn, _ = screenshot
        left, top, right, bottom = box(drawn)
        cut = drawn.crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
        of = PngInfo()
        of.add_text("page", digest)
        cut.quantize(128).save(PICTURE, optimize=True, pnginfo=of)
    with Image.open(PICTURE) as kept:
        assert isinstance(kept, PngImageFile)
        assert kept.text["page"] == digest, "UPDATE_PICTURE=1 takes the picture again"
    assert PICTURE.stat().st_size < 200_000


def box(drawn: Image.Image) -> tuple[int, int, int, int]:
    """Where anything is drawn."""
    blank = Image.new("RGB", drawn.size, (255, 255, 255))
    found = ImageChops.difference(drawn, blank).getbbox()
    assert found is not None, "the page is blank"
    return found
