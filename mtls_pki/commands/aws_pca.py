"""``mtls-pki aws-pca``: bring a private CA of AWS into the stack file, or make one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mtls_pki.commands.command import DIRECTORY, Command, open_stack
from mtls_pki.commands.stack_file_change import add_change_options, write_change
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import say

if TYPE_CHECKING:
    from datetime import timedelta

    from mtls_pki.backends.aws_pca.account import Installed
    from mtls_pki.settings.stack_file.reading import StackFile

_KEYS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096")


def _common_options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    parser.add_argument(
        "--directory",
        metavar=DIRECTORY,
        default="trust",
        help="where the two certificates are written; default: trust",
    )
    parser.add_argument("generation", metavar="GENERATION", help="its name: g1, g2, ...")


def _add_options(parser: argparse.ArgumentParser) -> None:
    _common_options(parser)
    parser.add_argument("arn", metavar="ARN", help="of the CA that signs leaves, below its root")


def _create_options(parser: argparse.ArgumentParser) -> None:
    _common_options(parser)
    parser.add_argument("--region", metavar="REGION", help="default: as AWS_REGION or the profile")
    parser.add_argument("--root", metavar="ARN", help="of a root that exists; default: make one")
    parser.add_argument("--organization", metavar="NAME", help="in the subjects; default: none")
    parser.add_argument("--key-algorithm", choices=_KEYS, default=_KEYS[0], help="default: P-256")
    parser.add_argument(
        "--root-valid-for",
        metavar="DURATION",
        type=_duration,
        default="87600h",
        help="default: 87600h",
    )
    parser.add_argument(
        "--valid-for",
        metavar="DURATION",
        type=_duration,
        help="of the issuing CA; default: as issuing.intermediate.validFor",
    )


def _duration(text: str) -> timedelta:
    from mtls_pki.rotation.durations import DurationError, parse_duration

    try:
        return parse_duration(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.backends.aws_pca import anchors
    from mtls_pki.backends.aws_pca.account import Account

    stack = open_stack(options)
    account = Account(anchors.region_of(options.arn), say)
    authority = anchors.existing(account, options.arn)
    return _write(stack, authority, options)


def _create(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.backends.aws_pca import anchors
    from mtls_pki.backends.aws_pca.account import Account

    stack = open_stack(options)
    region = anchors.region_of(options.root) if options.root else options.region
    root, below = anchors.wanted(
        stack,
        anchors.NewAuthorities(
            generation=options.generation,
            key_algorithm=options.key_algorithm,
            root_valid_for=options.root_valid_for,
            valid_for=options.valid_for,
            organization=options.organization,
            root_arn=options.root,
        ),
    )
    account = Account(region, say)
    if options.dry_run:
        for each in (root, below):
            found = account.find(each) if each is not None else options.root
            name = each.common_name if each is not None else "the root"
            say(f"{name}: {f'is there, {found}' if found else 'would be made'}")
        say("nothing was made or written (--dry-run)")
        return ExitStatus.DONE
    authority = anchors.create(account, stack, root, options.root, below)
    return _write(stack, authority, options)


def _write(stack: StackFile, authority: Installed, options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.backends.aws_pca import anchors

    files = anchors.files(stack, options.generation, authority, options.directory)
    with anchors.written(files, keep=not options.dry_run):
        new = anchors.with_anchor(stack, options.generation, authority, files)
        return write_change(stack, new, options)


COMMAND = Command(
    name="aws-pca",
    summary="bring a CA of AWS Private CA into the stack file, or make one",
    description="What it makes in AWS carries tags with the stack and the generation, by which it\n"
    "is found again. docs/aws-pca.md has the rest.",
    examples=("aws-pca add g2 arn:aws:acm-pca:...", "aws-pca create g2 --region eu-central-1"),
    commands=(
        Command(
            name="add",
            summary="write an anchor whose leaves an existing CA signs",
            description="Reads both certificates of the CA from AWS, writes them into files and\n"
            "an anchor into the stack file: incoming, or issuing where there is none. Applies\n"
            "nothing.",
            examples=(
                "aws-pca add g2 arn:aws:acm-pca:eu-central-1:123456789012:"
                "certificate-authority/00000000-0000-0000-0000-000000000000",
            ),
            options=_add_options,
            run=_add,
        ),
        Command(
            name="create",
            summary="make a root and a CA below it in AWS, and write the anchor",
            description="Makes what is not there, in the order that AWS wants. AWS charges for a "
            "CA from\nthe moment that it exists; nothing is ever deleted. The same command again "
            "goes\non where an earlier one ended.",
            examples=(
                "aws-pca create g2 --region eu-central-1 --dry-run",
                "aws-pca create g2 --region eu-central-1 --organization 'Example Ltd'",
            ),
            options=_create_options,
            run=_create,
        ),
    ),
)
