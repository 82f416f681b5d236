"""A page as one self-contained HTML document.

No script, no external resource (a Content-Security-Policy says so), every text escaped, and every
colour doubled by a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from mtls_pki.pages.document import (
    Block,
    Bullets,
    Callout,
    Code,
    Document,
    Drawing,
    Drawings,
    Folded,
    Heading,
    Item,
    Line,
    Paragraph,
    Part,
    Picture,
    Quoted,
    Strong,
    Table,
    Timeline,
    Tone,
)
from mtls_pki.pages.drawing import drawing_svg
from mtls_pki.pages.picture import picture_svg

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:66rem;padding:0 1rem;
color:#1b1f24;background:#fff}
h1{font-size:1.6rem;margin:.2rem 0 1rem}h2{font-size:1.2rem;margin:1.8rem 0 .6rem;
border-bottom:1px solid #d0d7de;padding-bottom:.2rem}h3,h4{font-size:1rem;margin:1.2rem 0 .4rem}
code{font:13px ui-monospace,monospace;background:#f0f2f4;border-radius:4px;padding:.1rem .3rem;
overflow-wrap:break-word}code.long{overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #d0d7de;padding:.35rem .6rem;
text-align:left;vertical-align:top}th{background:#f6f8fa}
li{margin:.25rem 0}.callout{border-left:4px solid;border-radius:4px;padding:.5rem 1rem;
margin:1rem 0}.callout p{margin:.3rem 0}
.tip{border-color:#1a7f37;background:#f0fbf3}.note{border-color:#0969da;background:#f0f8ff}
.warning{border-color:#9a6700;background:#fffbe6}.caution{border-color:#cf222e;background:#fff5f5}
summary{cursor:pointer;font-weight:600}pre{font:12px/1.5 ui-monospace,monospace;overflow-x:auto;
border:1px solid #d0d7de;border-radius:6px;padding:.6rem}pre span{display:block}
.add{background:#e6ffec}.del{background:#ffebe9}.upd{background:#fff8c5}
svg{width:100%;height:auto;margin:1rem 0}svg text{font:13px system-ui,sans-serif;fill:#1b1f24}
.panel{font-weight:600!important}.small{fill:#57606a!important;font-size:11px!important}
.box{fill:#f6f8fa;stroke:#57606a}.incoming{fill:#ddf4ff;stroke:#0969da}
.issuing{fill:#dafbe1;stroke:#1a7f37}.outgoing{fill:#fff8c5;stroke:#9a6700}
.compromised,.problem{fill:#ffebe9;stroke:#cf222e}.edge{stroke:#8c959f}.rule{stroke:#d0d7de}
time{display:inline-block;min-width:13rem;color:#57606a}
"""
# Longer names and values may be broken anywhere, so that a table stays on the page.
_LONG = 40
_DIFF_STYLES = {"+": "add", "-": "del", "!": "upd"}


def html_page(document: Document) -> str:
    """Return the page as an HTML document; the same document gives the same text."""
    title = escape(document.title)
    # A page's own title is its first heading here, and one among others in a comment.
    levels = [block.level for block in document.blocks if isinstance(block, Heading)]
    top = min(levels, default=1)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        *(
            _heading(block, block.level - top + 1)
            if isinstance(block, Heading)
            else _RENDER[type(block)](block)
            for block in document.blocks
        ),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _heading(block: Heading, level: int) -> str:
    return f"<h{level}>{_inline(block.line)}</h{level}>"


def _callout(block: Callout) -> str:
    lines = "".join(f"<p>{_inline(line)}</p>" for line in block.lines)
    return f'<div class="callout {_CALLOUTS[block.tone]}">{lines}</div>'


_CALLOUTS = {
    Tone.SAFE: "tip",
    Tone.NOTE: "note",
    Tone.WARNING: "warning",
    Tone.STOP: "caution",
}


def _paragraph(block: Paragraph) -> str:
    return f"<p>{_inline(block.line)}</p>"


def _bullets(block: Bullets) -> str:
    kind = "ol" if block.numbered else "ul"
    return f"<{kind}>{''.join(map(_item, block.items))}</{kind}>"


def _item(item: Item) -> str:
    below = "".join(f"<li>{_inline(line)}</li>" for line in item.below)
    return f"<li>{_inline(item.line)}{f'<ul>{below}</ul>' if below else ''}</li>"


def _table(block: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in block.head)
    rows = (_row(f"<td>{_inline(cell)}</td>" for cell in row) for row in block.rows)
    return f"<table>{_row([head])}{''.join(rows)}</table>"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _folded(block: Folded) -> str:
    lines = (
        f'<span class="{_DIFF_STYLES.get(line[:1], "")}">{escape(line)}</span>'
        for line in block.lines
    )
    summary = escape(block.summary)
    return f"<details><summary>{summary}</summary><pre>{''.join(lines)}</pre></details>"


def _quoted(block: Quoted) -> str:
    return f"<pre>{escape(chr(10).join(block.lines))}</pre>"


def _timeline(block: Timeline) -> str:
    events = (f"<li><time>{escape(when)}</time> {escape(what)}</li>" for when, what in block.events)
    return f"<p>{escape(block.title)}</p><ul>{''.join(events)}</ul>"


def _drawings(block: Drawings) -> str:
    return "".join(map(_drawing, block.drawings))


def _drawing(drawing: Drawing) -> str:
    return f"<h3>{escape(drawing.title)}</h3>{drawing_svg(drawing)}"


_RENDER: dict[type[Block], Callable[..., str]] = {
    Callout: _callout,
    Paragraph: _paragraph,
    Bullets: _bullets,
    Table: _table,
    Folded: _folded,
    Quoted: _quoted,
    Timeline: _timeline,
    Picture: picture_svg,
    Drawings: _drawings,
}


def _inline(line: Line) -> str:
    return "".join(_part(part) for part in line.parts)


def _part(part: Part) -> str:
    if isinstance(part, Code):
        style = ' class="long"' if len(part.text) > _LONG else ""
        return f"<code{style}>{escape(part.text)}</code>"
    if isinstance(part, Strong):
        return f"<strong>{escape(part.text)}</strong>"
    return escape(part)
