"""``mtls-pki init``: a Pulumi project of one's own, in five small files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from mtls_pki.commands.command import DIRECTORY, FILE, Command
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus

# What Pulumi allows in the names of projects and stacks (sdk/go/common/tokens, names.go).
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", type=Path, metavar=DIRECTORY, help="where; made if it is not there"
    )
    parser.add_argument(
        "--name",
        type=_name,
        default="mtls-pki",
        help="of the Pulumi project; begins every key of its configuration (default: mtls-pki)",
    )
    parser.add_argument(
        "--stack", type=_name, default="dev", metavar="NAME", help="its first (default: dev)"
    )
    parser.add_argument(
        "--trust-domain",
        default="cluster.local",
        metavar="DOMAIN",
        help="host part of every SPIFFE ID (default: cluster.local, as in Istio)",
    )
    parser.add_argument(
        "--context", metavar="NAME", help="of the kubeconfig (default: the stack's name)"
    )
    parser.add_argument(
        "--kubeconfig", metavar=FILE, help="default: $KUBECONFIG, else ~/.kube/config"
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.project_template import NewProject, project_files
    from mtls_pki.rotation.text import instant

    # A kubeconfig that is named may have one context only, which is its current one.
    context = options.context or (None if options.kubeconfig else options.stack)
    files = project_files(
        NewProject(
            name=options.name,
            stack=options.stack,
            trust_domain=options.trust_domain,
            context=context,
            kubeconfig=options.kubeconfig,
            valid_from=instant(datetime.now(UTC)),
        )
    )
    _require_right(options, files)
    _write(options.directory, files)
    stack_file = f"Pulumi.{options.stack}.yaml"
    print(f"made a Pulumi project in {options.directory}. Next:")
    for command, what in (
        (f"cd {options.directory}", ""),
        (f"$EDITOR {stack_file}", "name your clusters, namespaces and services"),
        ("pulumi install", "the program, into .venv"),
        (f"pulumi stack init {options.stack}", "asks who encrypts its secrets"),
        (f"pulumi preview --stack {options.stack}", "what would be made; changes nothing"),
    ):
        print(f"  {command:<40}{what}".rstrip())
    return ExitStatus.DONE


def _require_right(options: argparse.Namespace, files: Mapping[str, str]) -> None:
    """Have the settings find every mistake that the options put into the stack file.

    Raises:
        SettingsError: with the mistakes; nothing is written.
    """
    from mtls_pki.registry import extensions
    from mtls_pki.settings.stack_file.reading import StackFile

    name = f"Pulumi.{options.stack}.yaml"
    StackFile(
        path=options.directory / name,
        project=options.name,
        text=files[name],
        defaults={},
        extensions=extensions(),
    ).settings()


def _write(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files, none of them over one that is there.

    Raises:
        CommandError: one is there, or cannot be written.
    """
    there = [name for name in files if (directory / name).exists()]
    if there:
        raise CommandError(
            f"{directory} has {', '.join(there)} already, and nothing is overwritten; name "
            "another directory"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise CommandError(
            f"{directory} cannot be written ({error.strerror}); name another directory"
        ) from None


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write 1 to 100 letters, digits, hyphens, underscores and periods"
        )
    return text


COMMAND = Command(
    name="init",
    summary="make a Pulumi project of your own",
    description="Make a Pulumi project in a directory: Pulumi.yaml, the stack file, __main__.py,\n"
    "requirements.txt and .gitignore. It overwrites nothing.",
    examples=(
        "init trust",
        "init trust --stack prod --trust-domain prod.example.com --context prod-eu",
    ),
    options=_options,
    run=_run,
)
