"""What each command does: takes the stack file and the options, returns the exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from rich.text import Text

from mtls_pki.commands import reissue as reissue_command
from mtls_pki.commands.observed_domain import Standing, read_standing
from mtls_pki.commands.output import console, print_diff, print_json, say
from mtls_pki.commands.review import ReviewOptions, write_review
from mtls_pki.commands.status_view import status_view
from mtls_pki.errors import CliError
from mtls_pki.pages.plan_html import plan_page
from mtls_pki.pages.plan_terminal import plan_view
from mtls_pki.registry import backends_of
from mtls_pki.rotation.guards import instant
from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.report import (
    REPORT_SCHEMA,
    plan_json,
    plan_markdown,
    plan_text,
    position_json,
    verdict_json,
    verdict_text,
)
from mtls_pki.settings.stack_file import edits
from mtls_pki.settings.stack_file.reading import StackFile

FORMATS: dict[str, Callable[[Plan], str]] = {
    "text": plan_text,
    "markdown": plan_markdown,
    "html": plan_page,
}
"""The forms of a plan."""


def _standing(stack: StackFile) -> Standing:
    return read_standing(stack.settings(), lambda text: say(f"warning: {text}"))


def status(stack: StackFile, options: argparse.Namespace) -> int:
    """Show where the rotation stands."""
    standing = _standing(stack)
    plan = standing.plan()
    settings = standing.settings
    health = {
        backend.settings.name: found
        for backend in backends_of(settings)
        if (found := backend.health(settings, stack.path.parent, standing.evidence)) is not None
    }
    if options.json:
        authorities = {name: found.to_json() for name, found in health.items()}
        print_json({**position_json(plan.position), **authorities})
    else:
        terminal = console()
        terminal.print(status_view(standing, plan, file=stack.path.name, width=terminal.width))
        for found in health.values():
            terminal.print(found.view())
    return standing.exit_code


def check(stack: StackFile, options: argparse.Namespace) -> int:
    """Judge the change that the stack file asks for."""
    verdict = _standing(stack).verdict()
    if options.json:
        print_json(verdict_json(verdict))
    else:
        console().print(Text(verdict_text(verdict).rstrip()), soft_wrap=True)
    return verdict.exit_code


def plan(stack: StackFile, options: argparse.Namespace) -> int:
    """Show or write the steps that remain."""
    standing = _standing(stack)
    plan = standing.plan()
    if options.json:
        print_json(plan_json(plan))
    elif options.output is not None:
        text = FORMATS[options.format or "text"](plan)
        try:
            options.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CliError(f"--output {options.output}: {error.strerror}") from None
    elif options.format is None and sys.stdout.isatty():
        console().print(plan_view(plan))
    else:
        sys.stdout.write(FORMATS[options.format or "text"](plan))
    return standing.exit_code


def add(stack: StackFile, options: argparse.Namespace) -> int:
    """Write a new anchor into the stack file."""
    exclusive = (options.common_name, options.valid_for, options.valid_from, options.like)
    if options.certificate is not None and any(value is not None for value in exclusive):
        raise CliError("--certificate says everything of the anchor; leave the other options out")
    new = edits.NewAnchor(
        generation=options.generation,
        valid_from=options.valid_from or instant(datetime.now(UTC)),
        common_name=options.common_name,
        valid_for=options.valid_for,
        like=options.like,
        certificate=options.certificate,
    )
    return _finish(stack, edits.add(stack, new), options)


def promote(stack: StackFile, options: argparse.Namespace) -> int:
    """Write that the incoming anchor issues."""
    return _finish(stack, edits.promote(stack, options.generation), options)


def retire(stack: StackFile, options: argparse.Namespace) -> int:
    """Write that the outgoing anchor is gone."""
    return _finish(stack, edits.retire(stack, options.generation), options)


def _finish(old: StackFile, new: StackFile, options: argparse.Namespace) -> int:
    diff = edits.difference(old, new)
    if not options.dry_run:
        edits.write(new)
    if options.json:
        print_json(
            {
                "schema": REPORT_SCHEMA,
                "kind": "edit",
                "file": new.path.name,
                "diff": diff,
                "written": not options.dry_run,
            }
        )
        return 0
    print_diff(diff)
    sys.stdout.flush()
    if options.dry_run:
        say("not written (--dry-run)")
    else:
        say(
            f"wrote {new.path.name}; nothing is applied: review and commit it, then "
            f"`pulumi preview --stack {new.stack}`"
        )
    return 0


def reissue(stack: StackFile, options: argparse.Namespace) -> int:
    """Have what hangs on an older CA, or failed, issued again."""
    return reissue_command.reissue(
        stack.settings(),
        reissue_command.ReissueOptions(
            failed=options.failed,
            namespaces=tuple(options.namespaces),
            batch=options.batch,
            rate=options.rate,
            timeout=options.timeout,
            dry_run=options.dry_run,
            as_json=options.json,
        ),
    )


def review(stack: StackFile, options: argparse.Namespace) -> int:
    """Write what a preview means as one page."""
    found = write_review(
        stack,
        ReviewOptions(
            stack=options.stack,
            preview=options.preview,
            findings=options.findings,
            failed=options.failed,
            markdown=options.markdown,
            html=options.html,
            commit=options.commit,
        ),
    )
    return int(found.outcome)
