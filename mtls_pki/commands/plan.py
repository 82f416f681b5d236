"""``mtls-pki plan``: the steps that remain of a rotation."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.commands.command import FILE, Command, add_json, add_stack, open_stack
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus

if TYPE_CHECKING:
    from mtls_pki.rotation.plan import Plan

_FORMATS = ("html", "markdown", "text")


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)
    parser.add_argument("--format", choices=_FORMATS, help="default: text")
    parser.add_argument("--output", type=Path, metavar=FILE, help="write it there")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.clusters.observed_domain import observe_domain
    from mtls_pki.commands.output import console, print_json
    from mtls_pki.pages.plan import plan_page
    from mtls_pki.pages.terminal import terminal_page
    from mtls_pki.registry import sources_of
    from mtls_pki.rotation.report import plan_json

    settings = open_stack(options).settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    plan = domain.plan()
    if options.json:
        print_json(plan_json(plan))
    elif options.output is not None:
        try:
            options.output.write_text(_written(plan, options.format), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"--output {options.output}: {error.strerror}") from None
    elif options.format is None and sys.stdout.isatty():
        console().print(terminal_page(plan_page(plan)))
    else:
        sys.stdout.write(_written(plan, options.format))
    return domain.exit_code


def _written(plan: Plan, form: str | None) -> str:
    from mtls_pki.pages.html import html_page
    from mtls_pki.pages.markdown import markdown_page
    from mtls_pki.pages.plan import plan_page
    from mtls_pki.rotation.report import plan_text

    if form == "html":
        return html_page(plan_page(plan))
    return markdown_page(plan_page(plan)) if form == "markdown" else plan_text(plan)


COMMAND = Command(
    name="plan",
    summary="the steps that remain, with their earliest dates",
    description="Show the steps that remain of the rotation, or those of a whole one.",
    examples=(
        "plan",
        "plan --format markdown --output rotation.md",
        "plan --format html --output rotation.html",
    ),
    options=_options,
    run=_run,
)
