"""``mtls-pki COMMAND``: the command line, and what a command ends with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from mtls_pki.clusters.connection import ClusterError
from mtls_pki.commands import backup, ci, commands
from mtls_pki.commands.output import say
from mtls_pki.commands.reissue import INTERRUPTED
from mtls_pki.errors import CliError
from mtls_pki.registry import extensions
from mtls_pki.rotation.durations import DurationError, parse_duration
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.stack_file.reading import StackFile, open_stack_file

_EXIT_STATUS = """\
exit status:
  0    done; for check: the change is safe
  1    an error, said in one message on standard error; for reissue also: some did not come back
  2    the command line is wrong
  3    check, review: the change is blocked
  4    check, review, status, plan: evidence is missing, for a cluster could not be read
  5    review: the preview failed, and not because the change is blocked; the page says why
  130  interrupted; nothing is half done, and the same command again goes on
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["ci"]:
        return ci.main(given[1:])
    if given[:1] in (["backup"], ["restore"]):
        return backup.main(given)
    options = _parser().parse_args(given)
    try:
        stack = open_stack_file(Path.cwd(), options.stack, os.environ, extensions())
        return int(options.run(stack, options))
    except SettingsError as error:
        say(str(error))
    except (CliError, ClusterError) as error:
        say(f"rotation: {error}")
    except KeyboardInterrupt:
        say("rotation: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtls-pki",
        description="Rotate the trust anchor of a stack by reviewed changes of its stack file. "
        "Run it in the project's directory. docs/rotation.md tells the whole story.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[StackFile, argparse.Namespace], int],
        summary: str,
        description: str,
        *examples: str,
        as_json: bool = True,
    ) -> argparse.ArgumentParser:
        shown = "".join(f"  mtls-pki {example}\n" for example in examples)
        added = subparsers.add_parser(
            name,
            help=summary,
            description=description,
            epilog=f"examples:\n{shown}\n{_EXIT_STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument(
            "--stack",
            metavar="NAME",
            help="default: $PULUMI_STACK, else the only Pulumi.NAME.yaml, else dev",
        )
        if as_json:
            added.add_argument("--json", action="store_true", help="print one JSON document")
        added.set_defaults(run=run)
        return added

    command(
        "status",
        commands.status,
        "where the rotation stands, seen in the clusters",
        "Show anchors, bundles, issuers, leaves, who lags behind, and what comes next.",
        "status",
        "status --stack prod --json",
    )
    command(
        "check",
        commands.check,
        "judge the change that the stack file asks for",
        "Judge the change from what the clusters record to what the stack file asks for, by the\n"
        "same guards as `pulumi preview` and `pulumi up`. Needs no passphrase and no backend.",
        "check",
        "check --stack prod && pulumi up --stack prod",
    )
    added = command(
        "plan",
        commands.plan,
        "the steps that remain, with their earliest dates",
        "Show the steps that remain of the rotation, or those of a whole one.",
        "plan",
        "plan --format markdown --output rotation.md",
        "plan --format html --output rotation.html",
    )
    added.add_argument("--format", choices=sorted(commands.FORMATS), help="default: text")
    added.add_argument("--output", type=Path, metavar="FILE", help="write it there")
    _review_command(command)
    _edit_commands(command)
    _reissue_command(command)
    return parser


def _review_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    added = command(
        "review",
        commands.review,
        "what `pulumi preview` means, as one page to decide on",
        "Turn a preview into one Markdown page: what changes in trust, the guard's verdict, what\n"
        "comes next, what can be undone. Runs `pulumi preview`, or reads what it printed. It\n"
        "shows no secret and is never longer than a comment may be.",
        "review",
        "review --stack prod --markdown review.md --html review.html",
        "review --preview preview.json --commit 0f3c2a1",
        as_json=False,
    )
    added.add_argument(
        "--preview",
        type=Path,
        metavar="FILE",
        help="what `pulumi preview --json --show-sames` printed, - for standard input; "
        "default: run it",
    )
    added.add_argument(
        "--findings",
        type=Path,
        metavar="FILE",
        help="what a policy pack found in it: JSON, a list of level, rule, resource and message",
    )
    added.add_argument(
        "--failed", action="store_true", help="the engine ended with an error at that preview"
    )
    added.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the page there; default: print it"
    )
    added.add_argument("--html", type=Path, metavar="FILE", help="write it there as HTML too")
    added.add_argument("--commit", metavar="SHA", help="that was previewed; shown on the page")


def _edit_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    nothing = "Edits the stack file, prints the diff, and applies nothing."
    added = command(
        "add",
        commands.add,
        "write a new anchor into the stack file, incoming",
        f"{nothing} The first of the three changes.",
        "add g2",
        "add g2 --like g1 --valid-for 43800h --dry-run",
        "add g3 --certificate trust/g3.pem",
    )
    added.add_argument("generation", metavar="GENERATION", help="its name: g2, g3, ...")
    added.add_argument("--common-name", metavar="NAME", help="default: after that of --like")
    added.add_argument(
        "--valid-for", metavar="DURATION", help="such as 87600h; default: that of --like"
    )
    added.add_argument("--valid-from", metavar="TIME", help="RFC 3339, UTC; default: now")
    added.add_argument(
        "--like", metavar="GENERATION", help="copy what is not said from it; default: the issuing"
    )
    added.add_argument(
        "--certificate", metavar="FILE", help="a root made elsewhere, instead of all that"
    )
    _dry_run(added)
    added = command(
        "promote",
        commands.promote,
        "make the incoming anchor issuing, and the issuing one outgoing",
        f"{nothing} The second of the three changes.",
        "promote",
        "promote g2 --dry-run",
    )
    added.add_argument("generation", nargs="?", metavar="GENERATION", help="default: the incoming")
    _dry_run(added)
    added = command(
        "retire",
        commands.retire,
        "remove the outgoing anchor",
        f"{nothing} The third of the three changes. Naming an incoming\n"
        "anchor abandons its rotation; naming a compromised one drops its entry.",
        "retire",
        "retire g1 --dry-run",
    )
    added.add_argument("generation", nargs="?", metavar="GENERATION", help="default: the outgoing")
    _dry_run(added)


def _reissue_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    added = command(
        "reissue",
        commands.reissue,
        "have Certificates issued again that lag behind, or failed",
        "Have cert-manager issue again what hangs on the stable issuer and was issued by an older\n"
        "CA (Certificates that this stack declares move by themselves), or with --failed, what\n"
        "could not be issued on any of the stack's issuers and would be left alone for hours. It\n"
        "may be broken off and run again at any time. deploy/rbac-reissue.yaml grants what it\n"
        "needs.",
        "reissue --dry-run",
        "reissue --namespace shop --batch 20 --rate 5",
        "reissue --failed",
    )
    added.add_argument(
        "--failed",
        action="store_true",
        help="those whose last issuance failed, once its cause is gone",
    )
    added.add_argument(
        "--namespace",
        action="append",
        default=[],
        dest="namespaces",
        metavar="NAME",
        help="only this one; may be given several times",
    )
    added.add_argument(
        "--batch", type=_count, default=50, metavar="N", help="under way at once (default: 50)"
    )
    added.add_argument(
        "--rate",
        type=_rate,
        default=10.0,
        metavar="N",
        help="requests a second to an API server, beside paged lists (default: 10)",
    )
    added.add_argument(
        "--timeout",
        type=_duration,
        metavar="DURATION",
        help="how long a batch may take (default: issuing.readyTimeout)",
    )
    _dry_run(added)


def _dry_run(added: argparse.ArgumentParser) -> None:
    added.add_argument("--dry-run", action="store_true", help="change nothing, only show")


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


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
