"""``mtls-pki add``: the first of the three changes of a rotation."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from mtls_pki.commands.command import FILE, Command, open_stack
from mtls_pki.commands.stack_file_change import EFFECT, add_change_options, write_change
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    parser.add_argument("generation", metavar="GENERATION", help="its name: g2, g3, ...")
    parser.add_argument("--common-name", metavar="NAME", help="default: after that of --like")
    parser.add_argument(
        "--valid-for", metavar="DURATION", help="such as 87600h; default: that of --like"
    )
    parser.add_argument(
        "--valid-from",
        metavar="TIME",
        help="RFC 3339, UTC; default: five minutes ago, for clocks differ",
    )
    parser.add_argument(
        "--like", metavar="GENERATION", help="copy what is not said from it; default: the issuing"
    )
    parser.add_argument(
        "--certificate", metavar=FILE, help="a root made elsewhere, instead of all that"
    )


# Clocks differ, and a certificate that is not valid yet is refused. Kubernetes' own signers
# backdate as much (pkg/controller/certificates/signer, `backdate`).
_CLOCKS_DIFFER = timedelta(minutes=5)


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.rotation.text import instant
    from mtls_pki.settings.stack_file import edits

    stack = open_stack(options)
    exclusive = (options.common_name, options.valid_for, options.valid_from, options.like)
    if options.certificate is not None and any(value is not None for value in exclusive):
        raise CommandError(
            "--certificate says everything of the anchor; leave the other options out"
        )
    new = edits.NewAnchor(
        generation=options.generation,
        valid_from=options.valid_from or instant(datetime.now(UTC) - _CLOCKS_DIFFER),
        common_name=options.common_name,
        valid_for=options.valid_for,
        like=options.like,
        certificate=options.certificate,
    )
    return write_change(stack, edits.add(stack, new), options)


COMMAND = Command(
    name="add",
    summary="write a new anchor into the stack file, incoming",
    description=f"{EFFECT} The first of the three changes.",
    examples=(
        "add g2",
        "add g2 --like g1 --valid-for 43800h --dry-run",
        "add g3 --certificate trust/g3.pem",
    ),
    options=_options,
    run=_run,
)
