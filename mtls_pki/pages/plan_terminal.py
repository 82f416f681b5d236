"""Plans as rich tables for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.report import laggard_lines, when


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
