"""``mtls-pki backup``: a stack's state with all its keys, in one encrypted file."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from mtls_pki.commands.command import FILE, Command, add_stack, open_stack
from mtls_pki.commands.passphrase import SOURCE, passphrase
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument("file", type=Path, metavar=FILE, help="the archive, which must not exist")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.backup import archive
    from mtls_pki.backup.deployment import declared_secrets, require_clear, resources
    from mtls_pki.engine.state import export_state

    stack = open_stack(options)
    if options.file.exists():
        raise CommandError(f"{options.file} is there already and is not overwritten; name another")
    secret = passphrase(twice=True)
    exported = export_state(stack.stack)
    found = resources(exported)
    if not found:
        raise CommandError(f"stack {stack.stack} has no resources, so there is nothing to save")
    require_clear(exported)
    content = archive.Content(
        project=stack.project,
        stack=stack.stack,
        made=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        deployment=exported,
    )
    archive.save(options.file, content, secret)
    print(
        f"saved {len(found)} resources of stack {stack.stack}, {len(declared_secrets(exported))} "
        f"Secrets among them, to {options.file}; whoever has it and its passphrase has every key"
    )
    return ExitStatus.DONE


COMMAND = Command(
    name="backup",
    summary="save a stack's keys, encrypted, into a new archive",
    description="Save a stack's state with all its keys into one encrypted file, which `mtls-pki\n"
    f"restore` brings back. docs/state.md tells more. {SOURCE}",
    examples=("backup prod-2026-11.age --stack prod",),
    options=_options,
    run=_run,
)
