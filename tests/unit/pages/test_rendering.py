"""No text of a preview becomes markup, and no page is longer than a comment may be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mtls_pki.pages.document import (
    AnchorBox,
    Block,
    Bullets,
    Callout,
    Code,
    Document,
    Folded,
    Heading,
    Item,
    Line,
    Paragraph,
    Picture,
    Scene,
    Signer,
    Strong,
    Table,
    Tone,
)
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import LONGEST_PAGE, inline, markdown_page
from mtls_pki.pages.markers import review_marker
from mtls_pki.rotation.report import refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.rules import Laggard, Refusal, Rule
from mtls_pki.rotation.stage import RECORD_SCHEMA
from mtls_pki.rotation.text import LONGEST, fitted, one_line, redacted
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.review.previews import digest, html, markdown, step
from tests.unit.rotation.cases import NOW, cluster, evidence, request, stage

HOSTILE = (
    "`",
    "```",
    "```\n</details>\n<script>alert(1)</script>",
    "~~~",
    "</details>",
    "<!-- mtls-pki review: other -->",
    "-->",
    "| a | b |",
    "# head",
    "- item",
    "1. item",
    "> quote",
    "***",
    "[text](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example",
    "@everyone #1 $x$ &amp; &#60;",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "a\nb\r\nc\x00d\u202ee",
    '"]; click a href "javascript:alert(1)"',
    '%%{init: {"x": 1}}%%',
    "end",
    "\\",
    "\\|",
    "a`|`b",
)

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
)
lines = st.lists(
    st.one_of(texts, texts.map(lambda text: Code(text=text))), min_size=1, max_size=3
).map(lambda parts: Line(*parts))
rows = st.tuples(lines, lines)


def parsed(text: str) -> list[Any]:
    return MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(text)


def inline_text(tokens: list[Any]) -> str:
    """The text that a reader sees."""
    return "".join(
        child.content
        for token in tokens
        for child in token.children or ()
        if child.type in ("text", "code_inline", "text_special")
    )


@given(lines)
def test_a_line_shows_what_it_says_and_is_nothing_but_text(line: Any) -> None:
    text = inline(line)
    tokens = parsed(text)
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "code_inline", "text_special"}
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    wanted = line.text
    # A page begins no line with white space and needs none at its end.
    assert inline_text(tokens).replace("\u200b", "").strip() == wanted.replace("\u200b", "").strip()


@given(st.lists(rows, min_size=1, max_size=4))
def test_a_table_keeps_its_cells(cells: Any) -> None:
    block = Table(head=("one", "two"), rows=tuple(cells), room=50_000)
    page = markdown_page(Document(marker="", title="", blocks=(block,)))
    counted = [token.type for token in parsed(page)]
    assert counted.count("table_open") == 1
    assert counted.count("td_open") == 2 * len(cells)
    assert not {"html_block", "fence", "heading_open", "bullet_list_open"} & set(counted)


@given(st.lists(lines, min_size=1, max_size=4), st.lists(texts, max_size=6))
def test_a_page_has_the_blocks_that_were_given_and_no_others(found: Any, diff: Any) -> None:
    blocks: tuple[Block, ...] = (
        Heading(level=2, line=found[0]),
        Callout(tone=Tone.STOP, lines=tuple(found)),
        Bullets(items=tuple(Item(line=line, below=(line,)) for line in found)),
        Paragraph(line=found[-1]),
        Folded(summary="diff", lines=tuple(f"+ {text}" for text in diff)),
    )
    tokens = parsed(markdown_page(Document(marker="<!-- m -->", title="t", blocks=blocks)))
    counted = [token.type for token in tokens]
    assert counted.count("heading_open") == 1
    assert counted.count("blockquote_open") == 1
    assert counted.count("bullet_list_open") == 1 + len(found)
    assert counted.count("fence") == 1
    assert counted.count("html_block") == 3
    shown = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert shown == ["<!-- m -->", "<details><summary>diff</summary>", "</details>"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 300), st.sampled_from(HOSTILE), st.sampled_from(("|" * 300, "x" * 300, "<")))
def test_no_page_is_longer_than_a_comment_may_be(count: int, hostile: str, long: str) -> None:
    line = Line(hostile, Code(text=long), Strong(text=long), long)
    items = tuple(Item(line=line, below=(line,) * 10) for _ in range(min(count, 40)))
    boxes = tuple(
        AnchorBox(
            generation=hostile[:30],
            role=hostile[:30],
            bundled=True,
            signers=(Signer(name=long[:60], certificates=count),) * 3,
        )
        for _ in range(6)
    )
    scene = Scene(bundles=count, anchors=boxes)
    blocks: tuple[Block, ...] = (
        Heading(level=2, line=line),
        Callout(tone=Tone.NOTE, lines=(line,) * 3),
        Bullets(items=items, room=14_000),
        Table(head=("a", "b"), rows=((line, line),) * min(count, 40), room=6_000),
        Picture(before=scene, after=scene),
        Folded(summary="diff", lines=(f"+ {long}",) * count),
    )
    page = markdown_page(Document(marker=review_marker(hostile), title="t", blocks=blocks))
    assert len(page) <= LONGEST_PAGE


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_preview_is_a_harmless_page(hostile: str) -> None:
    named = digest(
        step("create", f"kubernetes:core/v1:{hostile}", hostile, new={hostile: hostile}),
        step(
            "update",
            "kubernetes:cert-manager.io/v1:Certificate",
            hostile,
            old={"metadata": {"namespace": hostile, "name": hostile}, "spec": {hostile: 1}},
            new={
                "metadata": {"namespace": hostile, "name": hostile},
                "spec": {"issuerRef": {"name": hostile}},
            },
        ),
        step("replace", "x:y:Z", hostile, old={}, new={}, replaceReasons=[hostile]),
        said=(("warning", hostile), ("error", f"{hostile}\n{hostile}")),
    )
    page = markdown(named)
    kinds = {child.type for token in parsed(page) for child in token.children or ()}
    assert not {"html_inline", "link_open", "image"} & kinds
    blocks = [token for token in parsed(page) if token.type == "html_block"]
    assert len(blocks) == 3
    outside = re.sub(r"(?s)(`{3,})diff\n.*?\n\1", "", page)
    assert "://" not in re.sub(r"`[^`]*`", "", outside)
    assert not set(page) & {"\x1b", "\x00", "\u202e", "\r"}
    parser = Tags()
    parser.feed(html(named))
    assert parser.tags <= PLAIN
    assert parser.attributes <= {"class", "lang", "charset", "http-equiv", "content", "name"}


@pytest.mark.parametrize("long", ["|" * 300, "`" * 300, "x" * 300, "@a" * 150])
def test_a_preview_with_too_much_of_everything_still_fits(long: str) -> None:
    verdict = refused(long)
    many = digest(
        *(
            step(
                op, kind, f"{number}-{long}", old=old, new=new, protect=True, replaceReasons=[long]
            )
            for number in range(120)
            for op, kind, old, new in (
                ("replace", f"vault:index/a:{long}{number}", {}, {}),
                ("update", f"x:index/b:{long}{number}", {"a": long}, {"a": 1}),
                (
                    "update",
                    "kubernetes:cert-manager.io/v1:Certificate",
                    {"metadata": {"namespace": f"{number}{long}"}, "spec": {"a": 1}},
                    {"spec": {"issuerRef": {"name": f"{number}{long}"}}},
                ),
            )
        ),
        *(gate(f"c{number}", long, count=number + 1) for number in range(12)),
        said=(
            *(("warning", f"{number}{long}\n" + f"{long}\n" * 20) for number in range(60)),
            *(("error", f"{number}{long}\n" + f"{long}\n" * 20) for number in range(60)),
            ("error", f"error: {refusal_message(verdict)}"),
        ),
        verdicts=(verdict,),
    )
    page = markdown(many)
    assert len(page) <= LONGEST_PAGE
    assert "**Refused.**" in page
    assert "Other stages again are in" in page
    del many["diagnostics"]
    assert len(markdown(many)) <= LONGEST_PAGE


def gate(cluster: str, long: str, *, count: int) -> dict[str, Any]:
    """A gate whose domain has many anchors and canaries, another number in each cluster."""
    anchors = {f"g{n}": {"role": "issuing", "fingerprint": f"{n:064x}"} for n in range(count * 9)}
    record = {
        "schema": RECORD_SCHEMA,
        "anchors": anchors,
        "canaries": {f"{long}{n}": "g1" for n in range(count)},
    }
    kind = "mtls-pki:index:TrustGate$kubernetes:core/v1:ConfigMap"
    made = step("create", kind, f"{cluster}-gate", new={"data": {"stage.json": json.dumps(record)}})
    return {**made, "provider": f"urn:pulumi:review::p::pulumi:providers:kubernetes::{cluster}::i"}


def refused(long: str) -> Verdict:
    """A verdict with many reasons, each of many long facts."""
    steady = stage(g1="issuing")
    verdict = judge(request(steady, steady), evidence(cluster()), now=NOW, mode=Mode.PREVIEW)
    who = Laggard(cluster=long, namespace=long, kind=long, name=long, detail=long)
    reasons = (
        Refusal(
            rule=Rule(identifier="rule", sentence=f"{number}{long}"),
            seen=(long,) * 15,
            remedy=long,
            laggards=(who,) * 15,
        )
        for number in range(60)
    )
    return replace(verdict, refusals=tuple(reasons))


def test_nobody_is_notified_and_nothing_is_linked() -> None:
    said = "ask @org/team or a@b.example, see #12, GH-12, !12 ~bug %12 &12 $12 https://x.example"
    text = inline(Line(f"{said}, www.x.example"))
    (shown,) = parsed(text)[1].children or ()
    assert not re.search(r"[@#!~%&$]\w|GH-", shown.content)
    assert not re.search(r"://|www\.", text)
    assert inline(Line("ghost: 100% of 5!")) == "ghost: 100% of 5!"


@pytest.mark.parametrize("stack", HOSTILE)
def test_the_marker_is_one_comment_whatever_the_stack_is_called(stack: str) -> None:
    line = review_marker(stack)
    assert line.startswith("<!-- mtls-pki review: ")
    assert line.index("-->") == len(line) - 3
    assert "\n" not in line


PLAIN = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "strong", "code"),
    *("ul", "li", "table", "tr", "th", "td", "details", "summary", "pre", "span"),
}


class Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_html_page_fetches_nothing() -> None:
    page = html("promote")
    parser = Tags()
    parser.feed(page)
    assert parser.tags - PLAIN == {"svg", "rect", "line", "text"}
    assert not parser.attributes & {"src", "href", "srcset", "onload", "style"}
    assert "default-src 'none'" in page
    assert 'aria-label="before: g1 issuing, g2 incoming; after: g1 outgoing, g2 issuing"' in page


def test_a_picture_takes_no_syntax_from_names() -> None:
    scene = Scene(
        bundles=1,
        anchors=(
            AnchorBox(
                generation='g1"]\nclick x',
                role="issuing",
                bundled=True,
                signers=(Signer(name="```;#%%{", certificates=1),),
            ),
        ),
    )
    block = Picture(before=scene, after=Scene(bundles=0, anchors=()))
    page = markdown_page(Document(marker="", title="", blocks=(block,)))
    assert '["g1__ click x: issuing"]:::issuing' in page
    assert '["________"]' in page
    assert '(["1 trust bundle"])' in page
    assert page.count("```") == 2


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_drawing_takes_no_markup_from_names(hostile: str) -> None:
    box = AnchorBox(
        generation=hostile,
        role="issuing",
        bundled=True,
        signers=(Signer(name=hostile, certificates=1),),
    )
    block = Picture(before=Scene(bundles=1, anchors=(box,)), after=Scene(bundles=0, anchors=()))
    parser = Tags()
    parser.feed(html_page(Document(marker="", title=hostile, blocks=(block,))))
    assert parser.tags <= {*PLAIN, "svg", "rect", "line", "text"}
    assert not parser.attributes & {"src", "href", "onclick", "onload"}


# Texts


@given(st.lists(st.text(max_size=20), max_size=30), st.integers(0, 400))
def test_lines_that_do_not_fit_are_counted(given_lines: list[str], room: int) -> None:
    taken = fitted(given_lines, room, lambda count: f"and {count} more")
    if len(taken) == len(given_lines) and taken == given_lines:
        return
    assert taken[:-1] == given_lines[: len(taken) - 1]
    assert taken[-1] == f"and {len(given_lines) - len(taken) + 1} more"
    if len(taken) > 1:
        assert sum(len(line) + 1 for line in taken) <= room


@given(st.text(max_size=1_000))
def test_a_shown_text_is_one_printable_line(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) <= LONGEST


@pytest.mark.parametrize(
    "text", ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "LS0tLS1CRUdJTiBDRVI="]
)
def test_what_is_no_private_key_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "label", ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY",
              "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
)  # fmt: skip
def test_every_kind_of_private_key_goes(label: str) -> None:
    pem = f"-----BEGIN {label}-----\nc2VjcmV0\n-----END {label}-----\n"
    assert redacted(f"before {pem} after") == "before [private key removed]\n after"
    assert "c2VjcmV0" not in redacted(pem.replace("\n", "\\n"))


def test_a_private_key_in_base64_goes() -> None:
    import base64

    encoded = base64.b64encode(b"-----BEGIN EC PRIVATE KEY-----\nsecret\n").decode()
    for cut in range(40, len(encoded) + 1):
        assert redacted(f"data: {encoded[:cut]} end") == "data: [private key removed] end"
