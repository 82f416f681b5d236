"""``mtls-pki prune``: what this stack has left in clusters is shown, and deleted."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import Command, add_dry_run, add_stack, open_stack
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_dry_run(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before deleting")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.prune_work import prune

    stack = open_stack(options)
    return prune(stack.settings(), stack.stack, confirmed=options.yes, dry_run=options.dry_run)


COMMAND = Command(
    name="prune",
    summary="delete what this stack has left behind in clusters",
    description="Show, and delete after a question, each object that this stack has written and "
    "that neither\nits stack file nor its state knows: what a run of `mtls-pki up` that was killed "
    "may leave.\nAn issuer that a Certificate names stays, and the Secret of a deleted Certificate "
    "does too.\ndeploy/rbac-prune.yaml grants what it needs, besides reading the state.",
    examples=("prune --dry-run", "prune --stack prod --yes"),
    options=_options,
    run=_run,
)
