"""The work of ``status``: one look at a domain, or one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from mtls_pki.backends.backend import Health
from mtls_pki.clusters.machines import Row, rows
from mtls_pki.clusters.observed_domain import ObservedDomain, observe_domain
from mtls_pki.commands.access_machines import access_view
from mtls_pki.commands.output import console
from mtls_pki.commands.status_view import status_view
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.registry import backends_of, sources_of
from mtls_pki.rotation.durations import humanise_duration
from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.report import position_json
from mtls_pki.settings.stack_file.reading import StackFile


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look showed.

    Attributes:
        file: name of the stack file.
        domain: stack file and evidence.
        plan: position and the steps to come.
        health: what backends say of themselves, by their name.
        machines: until when machines have access.
    """

    file: str
    domain: ObservedDomain
    plan: Plan
    health: Mapping[str, Health]
    machines: Sequence[Row]

    def view(self, width: int) -> RenderableType:
        """Return it for a terminal of so many columns."""
        return Group(
            status_view(self.domain, self.plan, file=self.file, width=width),
            *(found.view() for found in self.health.values()),
            *([access_view(list(self.machines))] if self.machines else []),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        more: dict[str, Any] = {name: found.to_json() for name, found in self.health.items()}
        if self.machines:
            more["access"] = [row.to_json(datetime.now(UTC)) for row in self.machines]
        more["undeclared"] = [each.entry for each in self.domain.evidence.undeclared]
        return {**position_json(self.plan.position), **more}


def look(stack: StackFile) -> Seen:
    """Read the clusters of a stack once.

    Raises:
        CommandError: the stack file is wrong.
    """
    settings = stack.settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    health = {
        backend.settings.name: found
        for backend in backends_of(settings)
        if (found := backend.health(settings, stack.path.parent, domain.evidence)) is not None
    }
    return Seen(
        file=stack.path.name,
        domain=domain,
        plan=domain.plan(),
        health=health,
        machines=tuple(rows(settings)),
    )


def watch(opened: Callable[[], StackFile], interval: timedelta) -> ExitStatus:
    """Show a domain in place until somebody interrupts it; the status is of the last look.

    A stack file that is wrong for a while, as it is when somebody edits it, is told in its place.
    """
    terminal = console()
    status = ExitStatus.DONE
    foot = f"every {humanise_duration(interval)}; Ctrl-C ends it"
    try:
        with Live(Text("looking ..."), console=terminal, auto_refresh=False) as live:
            while True:
                try:
                    seen = look(opened())
                except CommandError as error:
                    status, shown = ExitStatus.ERROR, Group(Text(str(error), style="red"))
                else:
                    status = seen.domain.exit_code
                    shown = Group(seen.view(terminal.width))
                at = f"{datetime.now():%H:%M:%S}, {foot}"
                live.update(Group(shown, "", Text(at, style="dim")), refresh=True)
                time.sleep(interval.total_seconds())
    except KeyboardInterrupt:
        return status
