"""``mtls-pki ci COMMAND``: the command line, and what a command ends with."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mtls_pki.ci import repository
from mtls_pki.ci.deploy import deploy
from mtls_pki.ci.drift import drift
from mtls_pki.ci.errors import CiError
from mtls_pki.ci.kubeconfig import VARIABLE, write_kubeconfig
from mtls_pki.ci.login import logged_in
from mtls_pki.ci.preview import REFUSED, Change, preview
from mtls_pki.ci.runner import give_output, open_forge
from mtls_pki.ci.stacks import known_stacks, touched_stacks
from mtls_pki.ci.static import mistakes
from mtls_pki.errors import CliError
from mtls_pki.settings.errors import SettingsError

_EXIT_STATUS = """\
exit status:
  0    done: nothing to object to
  1    an error, said in one message on standard error
  2    the command line is wrong
  3    preview: the guard refuses the change; static: the files are wrong; drift: something differs
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CiError, CliError, SettingsError) as error:
        print(f"ci: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("ci: interrupted", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtls-pki ci",
        description="What the workflows do. Each command runs by hand too, in the project's "
        "directory; outside of a runner nothing is posted. docs/review-workflows.md tells more.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], summary: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    added = command("stacks", _stacks, "list the stacks that a change touches, as JSON")
    _range(added)
    added = command("static", _static, "judge the files of the touched stacks; needs no secret")
    _range(added)
    added = command("kubeconfig", _kubeconfig, f"write ${VARIABLE} where the stack file names one")
    _stack(added)
    added = command("preview", _preview, "preview a stack, and post the review page")
    _stack(added)
    added.add_argument("--commit", metavar="SHA", help="head of the change; default: HEAD")
    added.add_argument("--change", type=int, metavar="N", help="its pull or merge request")
    added.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where the pages are left"
    )
    added = command("deploy", _deploy, "apply what was merged, if it is what was previewed")
    _stack(added)
    added = command("drift", _drift, "compare what runs with what is declared")
    _stack(added)
    return parser


def _range(added: argparse.ArgumentParser) -> None:
    added.add_argument("--base", required=True, metavar="SHA", help="what the change starts from")
    added.add_argument("--head", default="HEAD", metavar="SHA", help="default: HEAD")


def _stack(added: argparse.ArgumentParser) -> None:
    added.add_argument("--stack", required=True, metavar="NAME")


def _touched(options: argparse.Namespace) -> tuple[str, ...]:
    return touched_stacks(
        repository.changed_paths(options.base, options.head), known_stacks(Path.cwd())
    )


def _stacks(options: argparse.Namespace) -> int:
    text = json.dumps(_touched(options))
    print(text)
    give_output(os.environ, "stacks", text)
    return 0


def _static(options: argparse.Namespace) -> int:
    found = mistakes(_touched(options), options.base)
    for mistake in found:
        print(mistake)
    return REFUSED if found else 0


def _kubeconfig(options: argparse.Namespace) -> int:
    for place in write_kubeconfig(options.stack, os.environ):
        print(f"wrote {place}")
    return 0


def _preview(options: argparse.Namespace) -> int:
    change = Change(commit=options.commit or repository.commit("HEAD"), number=options.change)
    forge = open_forge(os.environ)
    with logged_in(options.stack, os.environ):
        return preview(
            options.stack, change, output=options.output, forge=forge, environment=os.environ
        )


def _deploy(options: argparse.Namespace) -> int:
    forge = open_forge(os.environ)
    with logged_in(options.stack, os.environ):
        return deploy(options.stack, forge=forge)


def _drift(options: argparse.Namespace) -> int:
    forge = open_forge(os.environ)
    with logged_in(options.stack, os.environ):
        return drift(options.stack, forge=forge, environment=os.environ)
