"""A page as GitHub Markdown, never longer than a comment may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from itertools import chain

from mtls_pki.pages.document import (
    Block,
    Bullets,
    Callout,
    Code,
    Column,
    Document,
    Drawing,
    Drawings,
    Folded,
    Heading,
    Line,
    Paragraph,
    Part,
    Picture,
    Quoted,
    Scene,
    Strong,
    Table,
    Timeline,
)
from mtls_pki.rotation.text import fitted

LONGEST_PAGE = 65_536
"""Characters that a comment on GitHub may have."""

# Backslashes would do for most, but a pipe must not reach a table as itself, and dollars begin a
# formula whether or not a backslash precedes them.
_MARKUP = {
    **{mark: f"\\{mark}" for mark in "\\`*_[]~"},
    **{mark: f"&#{ord(mark)};" for mark in "<&|$"},
}
_AT_BEGIN = re.compile(r"(\d*)([-+=#>.)])")
# What GitHub and GitLab make links of: people who would be notified, issues, changes, labels,
# milestones, epics, snippets, addresses.
_MENTION = re.compile(r"""([@#~%](?=[\w"])|[!&$](?=\d)|\bGH(?=-\d))""", re.IGNORECASE)
_LINK = re.compile(r"(?<=:)//|(?<=www)\.", re.IGNORECASE)
_NOT_IN_MERMAID = re.compile(r"[^A-Za-z0-9 .,:/()+-]")


def markdown_page(document: Document) -> str:
    """Return the page as Markdown of at most ``LONGEST_PAGE`` characters; a marker comes first.

    Blocks keep to their room, which whoever writes the page gives them; a folded diff takes what is
    left. The same document gives the same text.
    """
    parts: list[str | Folded] = [document.marker] if document.marker else []
    for block in document.blocks:
        parts += [""] if parts else []
        parts.append(block if isinstance(block, Folded) else "\n".join(_RENDER[type(block)](block)))
    fixed = sum(len(part) + 1 for part in parts if isinstance(part, str))
    folded = [part for part in parts if isinstance(part, Folded)]
    room = (LONGEST_PAGE - fixed) // max(1, len(folded))
    return "".join(
        f"{part if isinstance(part, str) else _folded(part, room - 1)}\n" for part in parts
    )


def _heading(block: Heading) -> list[str]:
    return [f"{'#' * block.level} {inline(block.line)}"]


def _callout(block: Callout) -> list[str]:
    quoted = (["", inline(line)] for line in block.lines)
    return [f"> [!{block.tone}]", *(f"> {line}".rstrip() for line in [*chain(*quoted)][1:])]


def _paragraph(block: Paragraph) -> list[str]:
    return [inline(block.line)]


def _bullets(block: Bullets) -> list[str]:
    lines: list[str] = []
    for number, item in enumerate(block.items, start=1):
        mark = f"{number}. " if block.numbered else "- "
        lines.append(f"{mark}{inline(item.line)}")
        lines += [f"{' ' * len(mark)}- {inline(line)}" for line in item.below]
    nested = len(lines) > len(block.items)
    return fitted(lines, block.room, _more("- ", " lines" if nested else ""))


def _table(block: Table) -> list[str]:
    head = [f"| {' | '.join(map(_escaped, block.head))} |", f"|{'---|' * len(block.head)}"]
    rows = [f"| {' | '.join(inline(cell) for cell in row)} |" for row in block.rows]
    return [*head, *fitted(rows, block.room, _more("| ", " |" * len(block.head)))]


def _more(before: str, after: str = "") -> Callable[[int], str]:
    return lambda count: f"{before}and {count} more{after}"


def _folded(block: Folded, room: int) -> str:
    """Lines in a fence that is longer than any run of backticks in them."""
    summary = _escaped(block.summary)
    runs = (len(run) for line in block.lines for run in re.findall(r"`+", line))
    fence = "`" * max(3, 1 + max(runs, default=0))
    head = [f"<details><summary>{summary}</summary>", "", f"{fence}diff"]
    tail = [fence, "", "</details>"]
    frame = sum(len(line) + 1 for line in [*head, *tail])
    return "\n".join([*head, *fitted(block.lines, room - frame, _more("  ")), *tail])


def _quoted(block: Quoted) -> list[str]:
    lines = fitted([escape(line) for line in block.lines], block.room, _more(""))
    return ["<pre>", *lines, "</pre>"]


def _timeline(block: Timeline) -> list[str]:
    events = (f"    {_event(when)} : {_event(what)}" for when, what in block.events)
    return ["```mermaid", "timeline", f"    title {_event(block.title)}", *events, "```"]


def _event(text: str) -> str:
    """A text of a timeline, where a colon parts events."""
    return _mermaid(text).replace(":", ".")


def _drawings(block: Drawings) -> list[str]:
    drawn = [_drawing(drawing) for drawing in block.drawings]
    return fitted(drawn, block.room, _more(""))


def _drawing(drawing: Drawing) -> str:
    names = {box: f"n{number}" for number, box in enumerate(drawing.boxes)}
    lines = [inline(Line(Strong(text=drawing.title))), "", "```mermaid", "flowchart LR"]
    for column in Column:
        within = [box for box in drawing.boxes if box.column is column]
        if within:
            lines.append(f'  subgraph {column}["{column}"]')
            lines += [
                f'    {names[box]}["{_mermaid(f"{box.first}: {box.second}")}"]{_class(box.style)}'
                for box in within
            ]
            lines.append("  end")
    lines += [f"  {names[start]} --- {names[end]}" for start, end in drawing.edges]
    return "\n".join([*lines, *_classes(_COLOURS | _PROBLEM), "```", ""])


def _class(style: str) -> str:
    return f":::{style}" if style in _COLOURS or style in _PROBLEM else ""


def _classes(colours: Mapping[str, tuple[str, str]]) -> list[str]:
    return [
        f"  classDef {style} fill:{fill},stroke:{stroke},color:#1b1f24"
        for style, (fill, stroke) in colours.items()
    ]


def _picture(block: Picture) -> list[str]:
    lines = ["```mermaid", "flowchart TB"]
    for name, scene in (("before", block.before), ("after", block.after)):
        lines += [f'  subgraph {name}["{name}"]', "    direction LR", *_scene(name, scene), "  end"]
    # Without an arrow between them Mermaid puts what comes last first.
    lines.append("  before ==> after")
    return [*lines, *_classes(_COLOURS), "```"]


_COLOURS = {
    "incoming": ("#ddf4ff", "#0969da"),
    "issuing": ("#dafbe1", "#1a7f37"),
    "outgoing": ("#fff8c5", "#9a6700"),
    "compromised": ("#ffebe9", "#cf222e"),
}
_PROBLEM = {"problem": ("#ffebe9", "#cf222e")}


def _scene(name: str, scene: Scene) -> list[str]:
    bundles = f"{scene.bundles} trust {'bundle' if scene.bundles == 1 else 'bundles'}"
    lines = [f'    {name}B(["{bundles}"])']
    for number, anchor in enumerate(scene.anchors):
        node = f"{name}A{number}"
        label = _mermaid(f"{anchor.generation}: {anchor.role}")
        lines.append(f'    {node}["{label}"]{_class(anchor.role)}')
        if anchor.bundled:
            lines.append(f"    {name}B -->|trust| {node}")
        for place, signer in enumerate(anchor.signers):
            issuer = f"{node}I{place}"
            noun = "Certificate" if signer.certificates == 1 else "Certificates"
            lines.append(f'    {node} -->|signs| {issuer}["{_mermaid(signer.name)}"]')
            lines.append(f'    {issuer} --> {issuer}C(["{signer.certificates} {noun}"])')
    return lines


_RENDER: dict[type[Block], Callable[..., list[str]]] = {
    Heading: _heading,
    Callout: _callout,
    Paragraph: _paragraph,
    Bullets: _bullets,
    Table: _table,
    Quoted: _quoted,
    Timeline: _timeline,
    Picture: _picture,
    Drawings: _drawings,
}


def inline(line: Line) -> str:
    """Return a line as Markdown in which only its own parts are markup."""
    # Two code spans that touch would be neither.
    text = "".join(_part(part) for part in line.parts).replace("``", "`\u200b`")
    return _AT_BEGIN.sub(r"\1\\\2", text, count=1) if _AT_BEGIN.match(text) else text


def _part(part: Part) -> str:
    if isinstance(part, Code):
        return _code(part.text)
    if isinstance(part, Strong):
        return f"**{_escaped(part.text)}**"
    return _escaped(part)


def _code(text: str) -> str:
    """A code span, or escaped prose for what a span cannot hold in every place."""
    if not text.strip() or any(mark in text for mark in "`|"):
        return _escaped(text)
    return f"`{text}`"


def _escaped(text: str) -> str:
    # A backslash would not keep a forge from notifying people: it looks at the text that results.
    apart = _MENTION.sub("\\1\u200b", text)
    escaped = "".join(_MARKUP.get(char, char) for char in apart)
    return _LINK.sub(lambda found: "".join(f"\\{char}" for char in found[0]), escaped)


def _mermaid(text: str) -> str:
    """A label that Mermaid can take for nothing else; names in Kubernetes lose nothing by it."""
    return _NOT_IN_MERMAID.sub("_", text)
