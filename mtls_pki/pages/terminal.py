"""A page as rich renderables for a terminal; no text is read as rich markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

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
    Picture,
    Quoted,
    Scene,
    Strong,
    Table,
    Timeline,
    Tone,
)

_TONES = {Tone.SAFE: "green", Tone.NOTE: "blue", Tone.WARNING: "yellow", Tone.STOP: "red"}
_STYLES = {
    "incoming": "cyan",
    "issuing": "green",
    "outgoing": "yellow",
    "compromised": "bold red",
    "problem": "red",
}


def terminal_page(document: Document) -> RenderableType:
    """Return the page as what a rich console prints, a blank line between two blocks."""
    rendered = (["", *_RENDER[type(block)](block)] for block in document.blocks)
    return Group(*[*chain(*rendered)][1:])


def _heading(block: Heading) -> Iterable[RenderableType]:
    return [_text(block.line, "bold")]


def _callout(block: Callout) -> Iterable[RenderableType]:
    return [_text(line, _TONES[block.tone]) for line in block.lines]


def _paragraph(block: Paragraph) -> Iterable[RenderableType]:
    return [_text(block.line)]


def _bullets(block: Bullets) -> Iterable[RenderableType]:
    for number, item in enumerate(block.items, start=1):
        mark = f"{number}. " if block.numbered else "- "
        yield Text(mark) + _text(item.line)
        for line in item.below:
            yield Padding(Text("- ") + _text(line), (0, 0, 0, len(mark)))


def _table(block: Table) -> Iterable[RenderableType]:
    table = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in block.head:
        table.add_column(Text(name), overflow="fold")
    for row in block.rows:
        table.add_row(*map(_text, row))
    return [table]


def _folded(block: Folded) -> Iterable[RenderableType]:
    return [Text(block.summary, "bold"), *map(Text, block.lines)]


def _quoted(block: Quoted) -> Iterable[RenderableType]:
    return map(Text, block.lines)


def _timeline(block: Timeline) -> Iterable[RenderableType]:
    yield Text(block.title)
    for when, what in block.events:
        yield Text(f"  {when}  {what}")


def _picture(block: Picture) -> Iterable[RenderableType]:
    return [_scene("before", block.before), _scene("after", block.after)]


def _scene(name: str, scene: Scene) -> RenderableType:
    bundles = "bundle" if scene.bundles == 1 else "bundles"
    lines = [Text(f"{name}: {scene.bundles} trust {bundles}")]
    for anchor in scene.anchors:
        trusted = "" if anchor.bundled else ", in no bundle"
        style = _STYLES.get(anchor.role, "")
        lines.append(Text(f"  {anchor.generation}: {anchor.role}{trusted}", style))
        lines += [Text(f"    {each.name}: {each.certificates}") for each in anchor.signers]
    return Text("\n").join(lines)


def _drawings(block: Drawings) -> Iterable[RenderableType]:
    return map(_drawing, block.drawings)


def _drawing(drawing: Drawing) -> RenderableType:
    lines = [Text(drawing.title, "bold")]
    for column in Column:
        within = [box for box in drawing.boxes if box.column is column]
        for place, box in enumerate(within):
            text = f"  {'' if place else column:<9}{box.first}: {box.second}"
            lines.append(Text(text, _STYLES.get(box.style, "")))
    return Text("\n").join(lines)


_RENDER: dict[type[Block], Callable[..., Iterable[RenderableType]]] = {
    Heading: _heading,
    Callout: _callout,
    Paragraph: _paragraph,
    Bullets: _bullets,
    Table: _table,
    Folded: _folded,
    Quoted: _quoted,
    Timeline: _timeline,
    Picture: _picture,
    Drawings: _drawings,
}


def _text(line: Line, style: str = "") -> Text:
    text = Text(style=style)
    for part in line.parts:
        if isinstance(part, Code):
            text.append(part.text, "cyan")
        elif isinstance(part, Strong):
            text.append(part.text, "bold")
        else:
            text.append(part)
    return text
