"""A plan as one page: the steps with their dates, the anchors, and a drawing of each cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mtls_pki.pages.document import (
    Block,
    Box,
    Bullets,
    Code,
    Column,
    Document,
    Drawing,
    Drawings,
    Heading,
    Item,
    Line,
    Paragraph,
    Strong,
    Table,
    Timeline,
    with_code,
)
from mtls_pki.rotation.plan import Plan, PlanStep
from mtls_pki.rotation.position import AnchorPosition, ClusterPosition, Position
from mtls_pki.rotation.report import (
    anchor_cells,
    laggard_lines,
    position_line,
    unsaid_laggards,
    when,
)
from mtls_pki.rotation.rules import Notice
from mtls_pki.rotation.text import instant

_HEAD = ("anchor", "role", "fingerprint", "ends", "bundles", "since", "leaves")
_FINGERPRINT = _HEAD.index("fingerprint")


def plan_page(plan: Plan) -> Document:
    """Return the page of a plan; the same plan gives the same page."""
    position = plan.position
    title = f"Rotation of {position.request.trust_domain}"
    return Document(
        marker="",
        title=title,
        blocks=(
            Heading(level=1, line=Line(title)),
            Paragraph(line=Line(position_line(position))),
            Timeline(
                title=f"Earliest dates, seen at {instant(position.at)}",
                events=tuple(
                    (instant(step.earliest) if step.earliest else "not computable", step.title)
                    for step in plan.steps
                ),
            ),
            *_steps(plan.steps),
            Heading(level=2, line=Line("Anchors")),
            Table(head=_HEAD, rows=tuple(map(_row, position.anchors)), room=8_000),
            *_clusters(position),
            *_warnings(position.notices),
        ),
    )


def _steps(steps: tuple[PlanStep, ...]) -> Iterator[Block]:
    yield Heading(level=2, line=Line("Steps"))
    yield Bullets(items=tuple(map(_step, steps)), room=10_000, numbered=True)


def _step(step: PlanStep) -> Item:
    return Item(
        line=Line(Strong(text=step.title), f", {when(step)}: ", step.basis),
        below=(
            *(Line(Code(text=edit)) for edit in step.edit),
            *(Line("waits for ", line) for line in laggard_lines(step.laggards)),
        ),
    )


def _row(anchor: AnchorPosition) -> tuple[Line, ...]:
    cells = anchor_cells(anchor)
    return tuple(
        Line(Code(text=cell) if place == _FINGERPRINT and anchor.fingerprint else cell)
        for place, cell in enumerate(cells)
    )


def _clusters(position: Position) -> Iterator[Block]:
    yield Heading(level=2, line=Line("Clusters"))
    read = [cluster for cluster in position.clusters if cluster.error is None]
    if read:
        yield Drawings(drawings=tuple(_drawing(position, cluster) for cluster in read))
    unread = [cluster for cluster in position.clusters if cluster.error is not None]
    if unread:
        yield Bullets(
            items=tuple(
                Item(
                    line=Line(
                        Strong(text=cluster.cluster), " could not be read: ", cluster.error or ""
                    )
                )
                for cluster in unread
            ),
            room=5_000,
        )


def _warnings(notices: tuple[Notice, ...]) -> Iterator[Block]:
    if not notices:
        return
    yield Heading(level=2, line=Line("Warnings"))
    yield Bullets(
        items=tuple(
            Item(
                line=Line(*with_code(notice.message)),
                below=tuple(map(Line, laggard_lines(unsaid_laggards(notice)))),
            )
            for notice in notices
        ),
        room=15_000,
    )


def _drawing(position: Position, cluster: ClusterPosition) -> Drawing:
    """Draw one cluster: bundles that hold anchors, anchors, issuers below them, leaves below those.

    Bundles of equal content share a box, so that the picture stays small in a large domain.
    """
    anchors: dict[str, Box] = {}
    others: list[Box] = []
    edges: list[tuple[Box, Box]] = []
    for row, anchor in enumerate(position.anchors):
        key = anchor.fingerprint or anchor.generation or ""
        anchors[key] = _anchor_box(position, anchor, key, row)
        issuers = _issuers_box(cluster, anchor, row)
        if issuers is not None:
            others.append(issuers)
            edges.append((anchors[key], issuers))
    rows = {key: box.row for key, box in anchors.items()}
    for fingerprint, count in cluster.leaves:
        leaves = Box(
            column=Column.LEAVES,
            row=rows.setdefault(fingerprint, len(rows)),
            first=f"{count} {'leaf' if count == 1 else 'leaves'}",
            second=f"chain to {position.name(fingerprint)}",
        )
        others.append(leaves)
        if fingerprint in anchors:
            edges.append((anchors[fingerprint], leaves))
    bundles = tuple(_bundle_boxes(position, cluster))
    edges += [(box, anchors[key]) for box, held in bundles for key in held if key in anchors]
    lost = cluster.unknown_leaves + cluster.foreign_leaves
    if lost:
        others.append(
            Box(
                column=Column.LEAVES,
                row=max(len(rows), len(bundles)),
                first=f"{lost} other {'leaf' if lost == 1 else 'leaves'}",
                second=f"{cluster.unknown_leaves} unknown, {cluster.foreign_leaves} foreign",
                style="problem",
            )
        )
    return Drawing(
        title=cluster.cluster,
        boxes=(*(box for box, _ in bundles), *anchors.values(), *others),
        edges=tuple(edges),
    )


def _anchor_box(position: Position, anchor: AnchorPosition, key: str, row: int) -> Box:
    return Box(
        column=Column.ANCHORS,
        row=row,
        first=f"{anchor.generation or position.name(key)}, {anchor.role or 'foreign root'}",
        second=f"sha256:{key[:16]}" if anchor.fingerprint else "no key yet",
        style=anchor.role or "problem",
    )


def _issuers_box(cluster: ClusterPosition, anchor: AnchorPosition, row: int) -> Box | None:
    issuers = [
        issuer
        for issuer in cluster.issuers
        if anchor.generation is not None and issuer.generation == anchor.generation
    ]
    if not issuers:
        return None
    ready = sum(issuer.ready for issuer in issuers)
    return Box(
        column=Column.ISSUERS,
        row=row,
        first=", ".join(sorted({issuer.name for issuer in issuers})),
        second=f"{ready} of {len(issuers)} issuers ready",
        style="" if ready == len(issuers) else "problem",
    )


def _bundle_boxes(
    position: Position, cluster: ClusterPosition
) -> Iterator[tuple[Box, tuple[str, ...]]]:
    """Yield a box for each content that bundles have, and the fingerprints in it."""
    groups = Counter((bundle.anchors, bundle.problem) for bundle in cluster.bundles)
    ordered = sorted(groups.items(), key=lambda item: (sorted(item[0][0]), item[0][1] or ""))
    for row, ((held, problem), count) in enumerate(ordered):
        names = ", ".join(sorted(position.name(fingerprint) for fingerprint in held))
        box = Box(
            column=Column.BUNDLES,
            row=row,
            first=f"{count} {'bundle' if count == 1 else 'bundles'}",
            second=problem or f"hold {names or 'no root'}",
            style="problem" if problem else "",
        )
        yield box, tuple(sorted(held))
