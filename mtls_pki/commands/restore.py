"""``mtls-pki restore``: an archive's state and CA Secrets, into an empty stack and its clusters."""

from __future__ import annotations

import argparse
from pathlib import Path

from mtls_pki.commands.command import FILE, Command, add_stack, open_stack
from mtls_pki.commands.passphrase import SOURCE, passphrase
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument("file", type=Path, metavar=FILE, help="the archive")
    parser.add_argument(
        "--rebuilt",
        action="append",
        default=[],
        metavar="CLUSTER",
        help="a cluster that was built again, so that it is another one than the archive's "
        "(repeatable)",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.backup import archive
    from mtls_pki.backup.deployment import (
        declared_secrets,
        for_stack,
        recorded_clusters,
        resources,
        secrets_provider,
    )
    from mtls_pki.clusters import secret_restore
    from mtls_pki.engine.state import export_state, import_state
    from mtls_pki.settings.stack_file.reading import parse_yaml

    stack = open_stack(options)
    settings = stack.settings()
    content = archive.load(options.file, passphrase(twice=False))
    if (content.project, content.stack) != (stack.project, stack.stack):
        raise CommandError(
            f"{options.file} is of stack {content.project}/{content.stack}, not of "
            f"{stack.project}/{stack.stack}; name that stack with --stack"
        )
    provider = secrets_provider(parse_yaml(stack.text, stack.path), stack.path.name)
    secrets = declared_secrets(content.deployment)
    if resources(export_state(stack.stack)):
        raise CommandError(
            f"stack {stack.stack} has resources already and is not overwritten; restore is for one "
            "that `pulumi stack init` has just made"
        )
    connections = secret_restore.open_clusters(settings, secrets)
    clusters = secret_restore.require_recorded(
        connections, recorded_clusters(content.deployment), options.rebuilt
    )
    lost = secret_restore.lost(connections, secrets)
    import_state(stack.stack, for_stack(content.deployment, provider, clusters=clusters))
    secret_restore.create(connections, lost)
    kept = f", {len(secrets) - len(lost)} were there" if len(lost) < len(secrets) else ""
    print(
        f"restored stack {stack.stack} as of {content.made}, and {len(lost)} Secrets{kept}; now\n"
        f"  pulumi up --refresh --run-program --stack {stack.stack}\n"
        "writes everything else that the clusters have lost"
    )
    return ExitStatus.DONE


COMMAND = Command(
    name="restore",
    summary="bring an archive's state and CA Secrets back; overwrites nothing",
    description="Restore what `mtls-pki backup` saved into an empty backend and empty clusters;\n"
    f"it overwrites nothing. docs/state.md tells more. {SOURCE}",
    examples=(
        "restore prod-2026-11.age --stack prod",
        "restore prod-2026-11.age --stack prod --rebuilt prod-eu",
    ),
    options=_options,
    run=_run,
)
