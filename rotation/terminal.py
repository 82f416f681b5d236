"""Positions and plans as rich tables for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from rotation.guards import instant
from rotation.plan import Plan
from rotation.position import PHASE_MEANING, Position
from rotation.report import anchor_cells, laggard_lines, notice_message, printable, when
from rotation.roles import Role

_STYLES = {
    Role.INCOMING: "cyan",
    Role.ISSUING: "green",
    Role.OUTGOING: "yellow",
    Role.COMPROMISED: "bold red",
}


def position_view(position: Position) -> Group:
    """Return the position as a renderable: phase, anchors, leaves by signer, steps, warnings.

    Texts from the clusters are never read as rich markup.
    """
    request = position.request
    parts: list[Table | Text] = [
        Text(f"{request.trust_domain}: {position.phase}, {PHASE_MEANING[position.phase]}"),
        Text(f"seen at {instant(position.at)}", style="dim"),
        _anchors(position),
        _clusters(position),
    ]
    for step in position.steps:
        style = "green" if step.allowed else "yellow"
        parts.append(Text(f"{step.verb} {', '.join(step.generations)}: {when(step)}", style=style))
        parts += [Text(f"  waits for {line}") for line in laggard_lines(step.laggards)]
    parts += [
        Text(f"warning: {notice_message(notice)}", style="yellow") for notice in position.notices
    ]
    return Group(*parts)


def plan_view(plan: Plan) -> Table:
    """Return the plan as a table, one row a step."""
    table = Table(title=Text(f"rotation of {plan.position.request.trust_domain}"))
    for column in ("step", "edit", "when", "why"):
        table.add_column(column)
    for step in plan.steps:
        lines = [step.basis, *(f"waits for {line}" for line in laggard_lines(step.laggards))]
        table.add_row(
            Text(step.title), Text("\n".join(step.edit)), Text(when(step)), Text("\n".join(lines))
        )
    return table


def _anchors(position: Position) -> Table:
    table = Table()
    for column in ("anchor", "role", "fingerprint", "ends", "bundles", "since", "leaves"):
        table.add_column(column, overflow="fold")
    for anchor in position.anchors:
        style = _STYLES.get(anchor.role, "magenta") if anchor.role else "magenta"
        name, *rest = anchor_cells(anchor)
        table.add_row(Text(name, style=style), *(Text(cell) for cell in rest))
    return table


def _clusters(position: Position) -> Table:
    table = Table()
    for column in ("cluster", "bundles", "leaves by signer", "unknown", "foreign"):
        table.add_column(column, overflow="fold")
    for cluster in position.clusters:
        if cluster.error is not None:
            table.add_row(
                Text(cluster.cluster), Text(printable(f"not read: {cluster.error}"), style="red")
            )
            continue
        signers = ", ".join(f"{position.name(key)}: {count}" for key, count in cluster.leaves)
        table.add_row(
            Text(cluster.cluster),
            Text(str(len(cluster.bundles))),
            Text(signers or "none"),
            Text(str(cluster.unknown_leaves)),
            Text(str(cluster.foreign_leaves)),
        )
    return table
