"""``mtls-pki status``: where the rotation stands."""

from __future__ import annotations

import argparse
from typing import Any

from mtls_pki.commands.command import Command, add_json, add_stack, open_stack
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> ExitStatus:
    from datetime import UTC, datetime

    from mtls_pki.clusters.machines import rows
    from mtls_pki.clusters.observed_domain import observe_domain
    from mtls_pki.commands.access_machines import access_view
    from mtls_pki.commands.output import console, print_json
    from mtls_pki.commands.status_view import status_view
    from mtls_pki.registry import backends_of, sources_of
    from mtls_pki.rotation.report import position_json

    stack = open_stack(options)
    settings = stack.settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    plan = domain.plan()
    health = {
        backend.settings.name: found
        for backend in backends_of(settings)
        if (found := backend.health(settings, stack.path.parent, domain.evidence)) is not None
    }
    machines = list(rows(settings))
    if options.json:
        more: dict[str, Any] = {name: found.to_json() for name, found in health.items()}
        if machines:
            more["access"] = [row.to_json(datetime.now(UTC)) for row in machines]
        more["undeclared"] = [each.entry for each in domain.evidence.undeclared]
        print_json({**position_json(plan.position), **more})
    else:
        terminal = console()
        terminal.print(status_view(domain, plan, file=stack.path.name, width=terminal.width))
        for found in health.values():
            terminal.print(found.view())
        if machines:
            terminal.print(access_view(machines))
    return domain.exit_code


COMMAND = Command(
    name="status",
    summary="where the rotation stands, seen in the clusters",
    description="Show anchors, bundles, issuers, leaves, who lags behind, and what comes next.",
    examples=("status", "status --stack prod --json"),
    options=_options,
    run=_run,
)
