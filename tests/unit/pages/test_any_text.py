"""Whatever text goes into a page, no form of it holds what a page must not hold."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from mtls_pki.pages.document import (
    AnchorBox,
    Block,
    Box,
    Bullets,
    Callout,
    Code,
    Column,
    Document,
    Drawing,
    Drawings,
    Folded,
    Heading,
    Item,
    Line,
    Paragraph,
    Picture,
    Quoted,
    Scene,
    Signer,
    Strong,
    Table,
    Timeline,
    Tone,
)
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pages.terminal import terminal_page
from mtls_pki.rotation.text import LONGEST, one_line
from tests.unit.pages.test_rendering import HOSTILE
from tests.unit.pki import material

KEY = material.key_pem("stolen")
KEY_LINES = KEY.splitlines()[1:-1]
SECRETS = (
    KEY,
    KEY[: KEY.rindex("-----END")],
    f"data: {base64.b64encode(KEY.encode()).decode()} end",
    KEY.replace("BEGIN", "BE\u200bGIN"),
    KEY.replace("BEGIN ", "BEGIN\x00"),
    KEY.replace("-----BEGIN", "\x1b[31m-----BEGIN\x1b[0m"),
    f'{{"pem": "{KEY.encode("unicode_escape").decode()}"}}',
)
INVISIBLE = (
    "\u200b\u200d\ufeff",
    "a\u202eb\u2066c",
    "\u3164\u034f",
    "\U000e0041",
    "\ud800",
    "\x9b31m",
)

# Parts that the page itself would never say.
MARKUP = (
    *HOSTILE,
    "<img src=x onerror=alert(1)>",
    "[red]x[/red]",
    "'\"><svg onload=1>",
    '" onload=alert(1) x="',
    "<b>",
)
texts = st.one_of(
    st.sampled_from((*MARKUP, *SECRETS, *INVISIBLE)),
    st.text(max_size=60),
    st.lists(st.sampled_from((*MARKUP, *SECRETS, *INVISIBLE, "\n", "x")), max_size=4).map("".join),
)


def everywhere(text: str) -> tuple[Block, ...]:
    """Every kind of block, with the text in each place that takes one."""
    line = Line(text, Code(text=text), Strong(text=text), text)
    scene = Scene(
        bundles=1,
        anchors=(
            AnchorBox(
                generation=text,
                role=text,
                bundled=True,
                signers=(Signer(name=text, certificates=1),),
            ),
        ),
    )
    box = Box(column=Column.ANCHORS, row=0, first=text, second=text, style=text)
    other = Box(column=Column.LEAVES, row=1, first=text, second=text, style="problem")
    return (
        Heading(level=1, line=line),
        Callout(tone=Tone.WARNING, lines=(line, line)),
        Paragraph(line=line),
        Bullets(items=(Item(line=line, below=(line,)),), room=50_000),
        Bullets(items=(Item(line=line, below=(line,)),), room=50_000, numbered=True),
        Table(head=(text, text), rows=((line, line),), room=50_000),
        Quoted(lines=(text, text)),
        Timeline(title=text, events=((text, text),)),
        Picture(before=scene, after=scene),
        Drawings(drawings=(Drawing(title=text, boxes=(box, other), edges=((box, other),)),)),
        Folded(summary=text, lines=(text, text)),
    )


def page(text: str) -> Document:
    return Document(marker="<!-- m -->", title=text, blocks=everywhere(text))


def printed(document: Document) -> str:
    console = Console(width=200, file=io.StringIO(), force_terminal=False)
    with console.capture() as captured:
        console.print(terminal_page(document))
    return captured.get()


class Tags(HTMLParser):
    """Collects what a browser would take for markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", ()))


def markup(text: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = Tags()
    parser.feed(text)
    return parser.found


PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
BLOCKS = ("heading_open", "blockquote_open", "table_open", "fence", "code_block", "hr")


def blocks_of(tokens: list[Token]) -> list[str]:
    return [token.type for token in tokens if token.type in BLOCKS]


@cache
def plain_markup() -> tuple[set[tuple[str, tuple[str, ...]]], list[str]]:
    """The tags (with their attributes) and the blocks of pages about harmless words."""
    plain = page("plain")
    # Long code has an attribute of its own, and an empty text leaves parts out.
    tags = {tag for text in ("plain", "", "long " * 40) for tag in markup(html_page(page(text)))}
    return tags, blocks_of(PARSER.parse(markdown_page(plain)))


@settings(max_examples=30)
@given(texts)
def test_no_form_of_a_page_holds_a_key_or_a_control_character(text: str) -> None:
    document = page(text)
    for form in (markdown_page(document), html_page(document), printed(document)):
        assert not re.search("-----BEGIN [A-Z ]*PRIVATE KEY", form)
        assert not [each for each in KEY_LINES if each in form]
        # A zero-width space keeps a forge from notifying people; no other text has one.
        shown = form.replace("\n", "").replace("\u200b", "")
        assert not [char for char in shown if unicodedata.category(char)[0] == "C"], ascii(form)


@settings(max_examples=30)
@given(texts)
def test_text_is_no_markup_in_any_form(text: str) -> None:
    assert_is_no_markup(text)


@pytest.mark.parametrize("text", MARKUP)
def test_what_looks_like_markup_is_none_in_any_form(text: str) -> None:
    assert_is_no_markup(text)


def assert_is_no_markup(text: str) -> None:
    document = page(text)
    tags, blocks = plain_markup()
    assert set(markup(html_page(document))) <= tags
    tokens = PARSER.parse(markdown_page(document))
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert not {"html_inline", "link_open", "image", "em_open", "s_open"} & kinds
    assert blocks_of(tokens) == blocks


@pytest.mark.parametrize("text", ["[red]x[/red]", ":smile:", "https://x.example"])
def test_a_terminal_shows_the_text_and_no_style_of_it(text: str) -> None:
    assert text in printed(page(text))


def test_what_begins_like_a_key_hides_no_other_line() -> None:
    lines = ("x -----BEGIN EC PRIVATE KEY-----", "after")
    for block in (Quoted(lines=lines), Folded(summary="diff", lines=lines)):
        assert block.lines == ("x [private key removed]", "after")


@given(st.lists(st.one_of(texts, texts.map(lambda text: Code(text=text))), max_size=4))
def test_a_line_holds_what_it_was_given_as_one_line(parts: list[str | Code]) -> None:
    line = Line(*parts)
    assert "\n" not in line.text
    assert line.text == line.text.strip()
    assert all(
        len(part if isinstance(part, str) else part.text) <= LONGEST + 2 for part in line.parts
    )
    assert Line(*line.parts) == line


def test_a_space_between_two_parts_stays() -> None:
    assert Line(" a ", Code(text="b\n"), " c\td ").text == "a b c d"
    assert Line("", " ", "x").text == "x"
    assert one_line("a\n  b") == "a b"
