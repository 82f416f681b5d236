"""``mtls-pki backup COMMAND``: the command line, and what a command ends with."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mtls_pki.backup import archive
from mtls_pki.backup.deployment import (
    declared_secrets,
    for_stack,
    require_clear,
    resources,
    secrets_provider,
)
from mtls_pki.backup.errors import BackupError
from mtls_pki.clusters import secret_restore
from mtls_pki.clusters.connection import ClusterError
from mtls_pki.engine import state as engine
from mtls_pki.errors import CliError
from mtls_pki.registry import extensions
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.stack_file.reading import StackFile, open_stack_file, parse_yaml

VARIABLE = "MTLS_PKI_BACKUP_PASSPHRASE"
"""Holds the passphrase where nobody can be asked; an argument could be read by others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 if it did what was asked."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (BackupError, CliError, ClusterError, SettingsError) as error:
        print(f"backup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("backup: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtls-pki",
        description="Save a stack's state with all its keys into one encrypted file, and restore "
        "it into an empty backend and empty clusters. docs/state.md tells more.",
        epilog=f"The passphrase is asked for, or taken from ${VARIABLE}.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, summary in (
        ("backup", _save, "write a new archive"),
        ("restore", _restore, "bring state and CA Secrets back; overwrites nothing"),
    ):
        added = commands.add_parser(name, help=summary, description=summary)
        added.add_argument("file", type=Path, metavar="FILE")
        added.add_argument("--stack", metavar="NAME", help="default: as `mtls-pki`")
        added.set_defaults(run=run)
    return parser


def _save(options: argparse.Namespace) -> None:
    stack = _stack(options)
    if options.file.exists():
        raise BackupError(f"{options.file} is there already and is not overwritten; name another")
    passphrase = _passphrase(twice=True)
    exported = engine.export(stack.stack)
    found = resources(exported)
    if not found:
        raise BackupError(f"stack {stack.stack} has no resources, so there is nothing to save")
    require_clear(exported)
    content = archive.Content(
        project=stack.project,
        stack=stack.stack,
        made=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        deployment=exported,
    )
    archive.save(options.file, content, passphrase)
    print(
        f"saved {len(found)} resources of stack {stack.stack}, {len(declared_secrets(exported))} "
        f"Secrets among them, to {options.file}; whoever has it and its passphrase has every key"
    )


def _restore(options: argparse.Namespace) -> None:
    stack = _stack(options)
    settings = stack.settings()
    content = archive.load(options.file, _passphrase(twice=False))
    if (content.project, content.stack) != (stack.project, stack.stack):
        raise BackupError(
            f"{options.file} is of stack {content.project}/{content.stack}, not of "
            f"{stack.project}/{stack.stack}; name that stack with --stack"
        )
    provider = secrets_provider(parse_yaml(stack.text, stack.path), stack.path.name)
    secrets = declared_secrets(content.deployment)
    if resources(engine.export(stack.stack)):
        raise BackupError(
            f"stack {stack.stack} has resources already and is not overwritten; restore is for one "
            "that `pulumi stack init` has just made"
        )
    connections = secret_restore.open_clusters(settings, secrets)
    secret_restore.require_absent(connections, secrets)
    engine.load(stack.stack, for_stack(content.deployment, provider))
    secret_restore.create(connections, secrets)
    print(
        f"restored stack {stack.stack} as of {content.made}, and {len(secrets)} Secrets; now\n"
        f"  pulumi up --refresh --run-program --stack {stack.stack}\n"
        "writes everything else that the clusters have lost"
    )


def _stack(options: argparse.Namespace) -> StackFile:
    return open_stack_file(Path.cwd(), options.stack, os.environ, extensions())


def _passphrase(*, twice: bool) -> str:
    # Taken out, so that no program which this one starts inherits it.
    given = os.environ.pop(VARIABLE, None)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BackupError(f"nobody can be asked for the passphrase; set ${VARIABLE}")
    first = getpass.getpass("Passphrase of the backup: ")
    if twice and getpass.getpass("Once more: ") != first:
        raise BackupError("the two passphrases differ; try again")
    return first
