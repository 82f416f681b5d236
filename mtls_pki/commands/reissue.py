"""``mtls-pki reissue``: what hangs on an older CA, or what failed, is issued again."""

from __future__ import annotations

import argparse

from mtls_pki.commands.command import (
    Command,
    add_dry_run,
    add_json,
    add_stack,
    duration,
    open_stack,
)
from mtls_pki.exit_status import ExitStatus


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    add_json(parser)
    add_dry_run(parser)
    parser.add_argument(
        "--failed",
        action="store_true",
        help="those whose last issuance failed, once its cause is gone",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        dest="namespaces",
        metavar="NAME",
        help="only this one; may be given several times",
    )
    parser.add_argument(
        "--batch", type=_count, default=50, metavar="N", help="under way at once (default: 50)"
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        default=10.0,
        metavar="N",
        help="requests a second to an API server, besides paged lists (default: 10)",
    )
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="DURATION",
        help="how long a batch may take (default: issuing.readyTimeout)",
    )


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.commands.reissue_work import ReissueOptions, reissue

    return reissue(
        open_stack(options).settings(),
        ReissueOptions(
            failed=options.failed,
            namespaces=tuple(options.namespaces),
            batch=options.batch,
            rate=options.rate,
            timeout=options.timeout,
            dry_run=options.dry_run,
            as_json=options.json,
        ),
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number from 1")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: write a number above 0")
    return rate


COMMAND = Command(
    name="reissue",
    summary="have Certificates issued again that lag behind, or failed",
    description="Have cert-manager issue again what hangs on the stable issuer and was issued by "
    "an older\nCA (Certificates that this stack declares move by themselves), or with --failed, "
    "what\ncould not be issued on any of the stack's issuers and would be left alone for hours. "
    "It\nmay be broken off and run again at any time. deploy/rbac-reissue.yaml grants what it\n"
    "needs.",
    examples=(
        "reissue --dry-run",
        "reissue --namespace shop --batch 20 --rate 5",
        "reissue --failed",
    ),
    options=_options,
    run=_run,
)
