"""The picture of a page as SVG: the domain before and after, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from mtls_pki.pages.document import Picture, Scene

_PANEL, _GAP = 510, 20
_ROW, _HEIGHT, _TOP = 58, 44, 40
_COLUMNS = {"bundles": (10, 104), "anchors": (152, 124), "issuers": (314, 186)}
# Of the fonts that a browser takes for system-ui, at the sizes below.
_LETTER = 6.4


@dataclass(kw_only=True)
class _Drawing:
    """Rectangles and lines of one panel, and the rows that they take."""

    left: int
    parts: list[str] = field(default_factory=list)

    def box(self, column: str, row: float, first: str, second: str, style: str) -> None:
        x, width = _COLUMNS[column]
        x, y = x + self.left, _TOP + row * _ROW
        letters = int((width - 20) / _LETTER)
        self.parts.append(
            f'<rect class="box {escape(style)}" x="{x}" y="{y:g}" rx="6" width="{width}" '
            f'height="{_HEIGHT}"/><text x="{x + 10}" y="{y + 18:g}">'
            f'{escape(_short(first, letters))}</text><text class="small" x="{x + 10}" '
            f'y="{y + 35:g}">{escape(_short(second, letters))}</text>'
        )

    def edge(self, start: tuple[str, float], end: tuple[str, float]) -> None:
        x, width = _COLUMNS[start[0]]
        y1, y2 = (_TOP + row * _ROW + _HEIGHT / 2 for row in (start[1], end[1]))
        self.parts.append(
            f'<line class="edge" x1="{self.left + x + width}" y1="{y1:g}" '
            f'x2="{self.left + _COLUMNS[end[0]][0]}" y2="{y2:g}"/>'
        )


def picture_svg(picture: Picture) -> str:
    """Return the picture as an SVG element, with a text that says the same."""
    rows = max(_rows(picture.before), _rows(picture.after))
    height = _TOP + rows * _ROW
    panels = "".join(
        _panel(name, scene, left)
        for name, scene, left in (
            ("before", picture.before, 0),
            ("after", picture.after, _PANEL + _GAP),
        )
    )
    label = escape(f"before: {_said(picture.before)}; after: {_said(picture.after)}", quote=True)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {2 * _PANEL + _GAP} {height}" '
        f'xmlns="http://www.w3.org/2000/svg">{panels}</svg>'
    )


def _panel(name: str, scene: Scene, left: int) -> str:
    drawing = _Drawing(left=left)
    row = 0
    middle = (_rows(scene) - 1) / 2
    for anchor in scene.anchors:
        span = max(1, len(anchor.signers))
        at = row + (span - 1) / 2
        if anchor.bundled:
            drawing.edge(("bundles", middle), ("anchors", at))
        for place, signer in enumerate(anchor.signers, start=row):
            drawing.edge(("anchors", at), ("issuers", place))
            noun = "Certificate" if signer.certificates == 1 else "Certificates"
            drawing.box("issuers", place, signer.name, f"{signer.certificates} {noun}", "")
        drawing.box("anchors", at, anchor.generation, anchor.role, anchor.role)
        row += span
    noun = "trust bundle" if scene.bundles == 1 else "trust bundles"
    drawing.box("bundles", middle, f"{scene.bundles}", noun, "")
    return (
        f'<text class="panel" x="{left + 10}" y="18">{name}</text>'
        f'<line class="rule" x1="{left + 10}" y1="27" x2="{left + 500}" y2="27"/>'
        + "".join(drawing.parts)
    )


def _rows(scene: Scene) -> int:
    return max(1, sum(max(1, len(anchor.signers)) for anchor in scene.anchors))


def _said(scene: Scene) -> str:
    anchors = ", ".join(f"{anchor.generation} {anchor.role}" for anchor in scene.anchors)
    return anchors or "no anchor"


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
