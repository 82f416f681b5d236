"""``mtls-pki check``: the guards' verdict on the change that the stack file asks for."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import Command, add_json, add_stack, open_stack
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import warn


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> ExitStatus:
    from rich.text import Text

    from mtls_pki.clusters.observed_domain import observe_domain
    from mtls_pki.commands.output import console, print_json
    from mtls_pki.registry import sources_of
    from mtls_pki.rotation.report import (
        notice_message,
        notices_json,
        verdict_json,
        verdict_text,
    )

    settings = open_stack(options).settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    verdict = domain.verdict()
    if not domain.evidence.gates and not domain.evidence.unreachable:
        warn(
            "no cluster records a stage of this stack, so this is judged as its first update. If "
            "it was applied before, correct kubeconfig and context under mtls-pki:clusters; "
            "preview and up compare them with what the stack remembers"
        )
    broken = domain.broken()
    status = verdict.exit_code
    if status is ExitStatus.DONE and broken:
        status = ExitStatus.BROKEN_NOW
    if options.json:
        print_json(
            verdict_json(verdict) | {"exitCode": int(status), "brokenNow": notices_json(broken)}
        )
        return status
    console().print(Text(verdict_text(verdict).rstrip()), soft_wrap=True)
    if broken:
        console().print(Text("\nbroken now, with this change and without it:"))
        for notice in broken:
            console().print(Text(f"  {notice_message(notice)}"), soft_wrap=True)
    return status


COMMAND = Command(
    name="check",
    summary="judge the change that the stack file asks for",
    description="Judge the change from what the clusters record to what the stack file asks for, "
    "by the\nsame guards as `pulumi preview` and `pulumi up`. Needs no passphrase and no backend.\n"
    "Where the change is safe and something is broken all the same, it says what, and ends with 6.",
    examples=("check", "check --stack prod && pulumi up --stack prod"),
    options=_options,
    run=_run,
)
