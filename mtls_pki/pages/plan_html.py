"""A plan as one self-contained HTML page with a picture of every cluster.

No script, no external resource (a Content-Security-Policy says so), every text escaped, and every
colour doubled by a word.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape

from mtls_pki.rotation.guards import instant
from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.position import PHASE_MEANING, ClusterPosition, Position
from mtls_pki.rotation.report import anchor_cells, laggard_lines, notice_message, when
from mtls_pki.rotation.roles import Role

_ROW = 64
_BOX_WIDTH, _BOX_HEIGHT = 200, 44
_COLUMNS = {"bundles": 10, "anchors": 270, "issuers": 530, "leaves": 790}
_WIDTH = 1000

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:66rem;padding:0 1rem;
color:#1b1f24}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #d0d7de;padding:.3rem .5rem;
text-align:left}td:nth-child(3){overflow-wrap:anywhere}
svg{width:100%;height:auto}svg text{font:13px system-ui,
sans-serif}.box{fill:#f6f8fa;stroke:#57606a}.incoming{fill:#ddf4ff;stroke:#0969da}
.issuing{fill:#dafbe1;stroke:#1a7f37}.outgoing{fill:#fff8c5;stroke:#9a6700}
.compromised,.problem{fill:#ffebe9;stroke:#cf222e}.edge{stroke:#8c959f;fill:none}
.small{fill:#57606a;font-size:11px}li{margin:.4rem 0}
"""


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A box of the picture: position of its upper left corner, two lines of text, a CSS class."""

    x: int
    y: int
    first: str
    second: str
    style: str

    def svg(self) -> str:
        """The rectangle and its texts."""
        return (
            f'<rect class="box {self.style}" x="{self.x}" y="{self.y}" rx="6" '
            f'width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}"/>'
            f'<text x="{self.x + 10}" y="{self.y + 18}">{escape(_short(self.first))}</text>'
            f'<text class="small" x="{self.x + 10}" y="{self.y + 35}">'
            f"{escape(_short(self.second))}</text>"
        )


def plan_page(plan: Plan) -> str:
    """Return the plan as an HTML document."""
    position = plan.position
    domain = escape(position.request.trust_domain)
    phase = f"{position.phase}: {PHASE_MEANING[position.phase]}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>Rotation of {domain}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Rotation of {domain}</h1>",
        f"<p>{escape(phase)}, seen at {instant(position.at)}.</p>",
        "<h2>Steps</h2><ol>",
    ]
    for step in plan.steps:
        parts.append(f"<li><strong>{escape(step.title)}</strong>, {when(step)}: ")
        parts.append(f"{escape(step.basis)}<br>")
        parts.append("<br>".join(f"<code>{escape(edit)}</code>" for edit in step.edit))
        parts.append(_list(laggard_lines(step.laggards)))
        parts.append("</li>")
    parts += ["</ol><h2>Anchors</h2>", _anchor_table(position), "<h2>Clusters</h2>"]
    for cluster in position.clusters:
        parts.append(f"<h3>{escape(cluster.cluster)}</h3>")
        if cluster.error is not None:
            parts.append(f"<p>Could not be read: {escape(cluster.error)}</p>")
        else:
            parts.append(_picture(position, cluster))
    if position.notices:
        parts.append("<h2>Warnings</h2>")
        parts.append(_list([notice_message(notice) for notice in position.notices]))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _anchor_table(position: Position) -> str:
    heads = ("anchor", "role", "fingerprint", "ends", "bundles", "since", "leaves")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for anchor in position.anchors:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in anchor_cells(anchor))
        rows.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _picture(position: Position, cluster: ClusterPosition) -> str:
    """Draw one cluster: bundles that hold anchors, anchors, issuers below them, leaves below those.

    Bundles of equal content share a box, so that the picture stays small in a large domain.
    """
    anchors = {anchor.fingerprint or anchor.generation or "": anchor for anchor in position.anchors}
    rows = {key: index for index, key in enumerate(anchors)}
    boxes: list[_Box] = []
    edges: list[tuple[str, int, str, int]] = []
    for key, anchor in anchors.items():
        name = anchor.generation or position.name(key)
        role: Role | None = anchor.role
        boxes.append(
            _box(
                "anchors",
                rows[key],
                f"{name}, {role or 'foreign root'}",
                f"sha256:{key[:16]}" if anchor.fingerprint else "no key yet",
                role or "problem",
            )
        )
        issuers = [
            issuer
            for issuer in cluster.issuers
            if anchor.generation is not None and issuer.generation == anchor.generation
        ]
        if issuers:
            ready = sum(issuer.ready for issuer in issuers)
            style = "box" if ready == len(issuers) else "problem"
            names = ", ".join(sorted({issuer.name for issuer in issuers}))
            second = f"{ready} of {len(issuers)} issuers ready"
            boxes.append(_box("issuers", rows[key], names, second, style))
            edges.append(("anchors", rows[key], "issuers", rows[key]))
    for fingerprint, count in cluster.leaves:
        row = rows.setdefault(fingerprint, len(rows))
        boxes.append(
            _box("leaves", row, f"{count} leaves", f"chain to {position.name(fingerprint)}", "box")
        )
        if fingerprint in anchors:
            edges.append(("anchors", row, "leaves", row))
    groups = Counter((bundle.anchors, bundle.problem) for bundle in cluster.bundles)
    ordered = sorted(groups.items(), key=lambda item: (sorted(item[0][0]), item[0][1] or ""))
    for row, ((held, problem), count) in enumerate(ordered):
        names = ", ".join(sorted(position.name(fingerprint) for fingerprint in held))
        boxes.append(
            _box(
                "bundles",
                row,
                f"{count} {'bundle' if count == 1 else 'bundles'}",
                problem or f"hold {names or 'no root'}",
                "problem" if problem else "box",
            )
        )
        edges += [("bundles", row, "anchors", rows[key]) for key in sorted(held) if key in rows]
    lost = cluster.unknown_leaves + cluster.foreign_leaves
    last = max([len(rows), len(groups)])
    if lost:
        second = f"{cluster.unknown_leaves} unknown, {cluster.foreign_leaves} foreign"
        boxes.append(_box("leaves", last, f"{lost} other leaves", second, "problem"))
        last += 1
    height = 30 + last * _ROW
    label = escape(f"bundles, anchors, issuers and leaves of {cluster.cluster}", quote=True)
    heads = "".join(
        f'<text class="small" x="{x}" y="14">{name}</text>' for name, x in _COLUMNS.items()
    )
    lines = "".join(_edge(*edge) for edge in edges)
    drawn = "".join(box.svg() for box in boxes)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {height}" '
        f'xmlns="http://www.w3.org/2000/svg">{heads}{lines}{drawn}</svg>'
    )


def _box(column: str, row: int, first: str, second: str, style: str) -> _Box:
    return _Box(x=_COLUMNS[column], y=24 + row * _ROW, first=first, second=second, style=style)


def _edge(from_column: str, from_row: int, to_column: str, to_row: int) -> str:
    x1, y1 = _COLUMNS[from_column] + _BOX_WIDTH, 24 + from_row * _ROW + _BOX_HEIGHT // 2
    x2, y2 = _COLUMNS[to_column], 24 + to_row * _ROW + _BOX_HEIGHT // 2
    return f'<line class="edge" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _short(text: str) -> str:
    return text if len(text) <= 25 else f"{text[:24]}…"
