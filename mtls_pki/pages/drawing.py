"""The drawing of one cluster as SVG: bundles, anchors, issuers and leaves, in columns."""

from __future__ import annotations

from html import escape

from mtls_pki.pages.document import Box, Column, Drawing

_ROW, _TOP = 64, 24
_BOX_WIDTH, _BOX_HEIGHT = 200, 44
_LEFT = {Column.BUNDLES: 10, Column.ANCHORS: 270, Column.ISSUERS: 530, Column.LEAVES: 790}
_WIDTH = 1000
# That fit into a box, in the fonts that a browser takes for system-ui.
_LETTERS, _SMALL_LETTERS = 25, 30


def drawing_svg(drawing: Drawing) -> str:
    """Return the drawing as an SVG element, with a text that says what it shows."""
    rows = 1 + max((box.row for box in drawing.boxes), default=0)
    label = escape(f"bundles, anchors, issuers and leaves of {drawing.title}", quote=True)
    heads = "".join(
        f'<text class="small" x="{x}" y="14">{column}</text>' for column, x in _LEFT.items()
    )
    edges = "".join(_edge(start, end) for start, end in drawing.edges)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_TOP + 6 + rows * _ROW}" '
        f'xmlns="http://www.w3.org/2000/svg">{heads}{edges}{"".join(map(_box, drawing.boxes))}'
        "</svg>"
    )


def _box(box: Box) -> str:
    x, y = _LEFT[box.column], _TOP + box.row * _ROW
    return (
        f'<rect class="box {escape(box.style)}" x="{x}" y="{y}" rx="6" width="{_BOX_WIDTH}" '
        f'height="{_BOX_HEIGHT}"/>'
        f'<text x="{x + 10}" y="{y + 18}">{escape(_short(box.first, _LETTERS))}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 35}">'
        f"{escape(_short(box.second, _SMALL_LETTERS))}</text>"
    )


def _edge(start: Box, end: Box) -> str:
    x1, x2 = _LEFT[start.column] + _BOX_WIDTH, _LEFT[end.column]
    y1, y2 = (_TOP + box.row * _ROW + _BOX_HEIGHT // 2 for box in (start, end))
    return f'<line class="edge" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
