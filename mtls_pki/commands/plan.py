"""``mtls-pki plan``: the steps that remain of a rotation."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.commands.command import FILE, Command, add_json, add_stack, open_stack
from mtls_pki.errors import CommandError, UsageError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say

if TYPE_CHECKING:
    from mtls_pki.clusters.observed_domain import ObservedDomain
    from mtls_pki.rotation.plan import Plan

_FORMATS = ("html", "markdown", "text")


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)
    parser.add_argument("--format", choices=_FORMATS, help="default: text")
    parser.add_argument("--output", type=Path, metavar=FILE, help="write it there")
    parser.add_argument(
        "--by",
        type=_day,
        metavar="DAY",
        help="the last safe time of each step, for a rotation that is done by then; 2027-03-01",
    )
    parser.add_argument(
        "--calendar",
        type=Path,
        metavar=FILE,
        help="write these times there, for a calendar (.ics); with --by",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.clusters.observed_domain import observe_domain
    from mtls_pki.commands.output import console, print_json
    from mtls_pki.pages.plan import plan_page
    from mtls_pki.pages.terminal import terminal_page
    from mtls_pki.registry import sources_of
    from mtls_pki.rotation.report import plan_json

    if options.calendar is not None and options.by is None:
        raise UsageError("--calendar needs --by: the day by which the rotation is to be done")
    settings = open_stack(options).settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    plan = domain.plan()
    if options.by is not None:
        return _by(plan, options) if domain.recorded else _unknown(domain)
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


def _day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write a day such as 2027-03-01") from None


def _unknown(domain: ObservedDomain) -> ExitStatus:
    remedy = "make the clusters reachable" if domain.evidence.unreachable else "run `pulumi up`"
    raise CommandError(
        f"no cluster that could be read records a stage, so no time can be computed; {remedy} first"
    )


def _by(plan: Plan, options: argparse.Namespace) -> ExitStatus:
    """Tell the last safe time of each step; it is BLOCKED where none is left for one."""
    from mtls_pki.commands.output import print_json
    from mtls_pki.pages.calendar import calendar
    from mtls_pki.rotation.deadlines import deadlines, soonest
    from mtls_pki.rotation.report import deadlines_json, deadlines_text

    found = deadlines(plan, options.by)
    if options.json:
        print_json(deadlines_json(plan, found))
    else:
        sys.stdout.write(deadlines_text(plan, found))
    if any(each.late for each in found):
        complain(f"too late for {options.by:%Y-%m-%d}: write {soonest(plan):%Y-%m-%d} or later")
        return ExitStatus.BLOCKED
    if options.calendar is not None:
        domain = plan.position.request.trust_domain
        try:
            options.calendar.write_bytes(calendar(domain, found, at=plan.position.at))
        except OSError as error:
            raise CommandError(f"--calendar {options.calendar}: {error.strerror}") from None
        say(f"written: {options.calendar}")
    return ExitStatus.DONE


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
        "plan --by 2027-03-01 --calendar rotation.ics",
    ),
    options=_options,
    run=_run,
)
