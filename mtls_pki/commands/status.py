"""``mtls-pki status``: where the rotation stands."""

from __future__ import annotations

import argparse
from datetime import timedelta

from mtls_pki.commands.command import Command, add_json, add_stack, duration, open_stack
from mtls_pki.errors import UsageError
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)
    parser.add_argument(
        "--watch", action="store_true", help="look again and again, in place, until Ctrl-C"
    )
    parser.add_argument(
        "--interval",
        type=duration,
        default=timedelta(seconds=30),
        metavar="DURATION",
        help="from one look to the next, with --watch (default: 30s)",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.output import console, print_json
    from mtls_pki.commands.status_work import look, watch

    if options.watch and options.json:
        raise UsageError("--watch shows a picture that changes; leave --json out")
    if options.watch:
        return watch(lambda: open_stack(options), options.interval)
    seen = look(open_stack(options))
    if options.json:
        print_json(seen.to_json())
    else:
        terminal = console()
        terminal.print(seen.view(terminal.width))
    return seen.domain.exit_code


COMMAND = Command(
    name="status",
    summary="where the rotation stands, seen in the clusters",
    description="Show anchors, bundles, issuers, leaves, who lags behind, and what comes next.",
    examples=("status", "status --stack prod --json", "status --watch --interval 10s"),
    options=_options,
    run=_run,
)
