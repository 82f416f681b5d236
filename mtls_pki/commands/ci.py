"""``mtls-pki ci``: what the workflows do, one sub-command for each of their jobs."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.commands.command import DIRECTORY, Command
from mtls_pki.exit_status import ExitStatus

if TYPE_CHECKING:
    from mtls_pki.ci.forge import Forge


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", required=True, metavar="SHA", help="what the change starts from")
    parser.add_argument("--head", default="HEAD", metavar="SHA", help="default: HEAD")


def _add_one_stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stack", required=True, metavar="NAME")


def _add_preview(parser: argparse.ArgumentParser) -> None:
    _add_one_stack(parser)
    parser.add_argument("--commit", metavar="SHA", help="head of the change; default: HEAD")
    parser.add_argument("--change", type=int, metavar="N", help="its pull or merge request")
    parser.add_argument(
        "--output", type=Path, required=True, metavar=DIRECTORY, help="where the pages are left"
    )


def _touched(options: argparse.Namespace) -> tuple[str, ...]:
    from mtls_pki.ci import repository
    from mtls_pki.ci.stacks import known_stacks, touched_stacks

    return touched_stacks(
        repository.changed_paths(options.base, options.head), known_stacks(Path.cwd())
    )


def _stacks(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci.runner import give_output

    text = json.dumps(_touched(options))
    print(text)
    give_output(os.environ, "stacks", text)
    return ExitStatus.DONE


def _static(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci.static import mistakes

    found = mistakes(_touched(options), options.base)
    for mistake in found:
        print(mistake)
    return ExitStatus.BLOCKED if found else ExitStatus.DONE


def _kubeconfig(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci.kubeconfig import write_kubeconfig

    for place in write_kubeconfig(options.stack, os.environ):
        print(f"wrote {place}")
    return ExitStatus.DONE


def _forge() -> Forge | None:
    """Open the forge for a job that runs the engine, unless a job's log would show keys."""
    from mtls_pki.ci.runner import open_forge
    from mtls_pki.engine.revealing import require_quiet

    require_quiet(os.environ)
    return open_forge(os.environ)


def _preview(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci import repository
    from mtls_pki.ci.login import logged_in
    from mtls_pki.ci.preview import Change, preview

    forge = _forge()
    change = Change(commit=options.commit or repository.commit("HEAD"), number=options.change)
    with logged_in(options.stack, os.environ):
        return preview(
            options.stack, change, output=options.output, forge=forge, environment=os.environ
        )


def _deploy(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci.deploy import deploy
    from mtls_pki.ci.login import logged_in

    forge = _forge()
    with logged_in(options.stack, os.environ):
        return deploy(options.stack, forge=forge)


def _drift(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.ci.drift import drift
    from mtls_pki.ci.login import logged_in

    forge = _forge()
    with logged_in(options.stack, os.environ):
        return drift(options.stack, forge=forge, environment=os.environ)


COMMAND = Command(
    name="ci",
    summary="what the workflows do: stacks, static, kubeconfig, preview, deploy, drift",
    description="What the workflows do. Each command runs by hand too, in the project's directory; "
    "outside\nof a runner nothing is posted. docs/review-workflows.md tells more.",
    examples=("ci static --base origin/main", "ci preview --stack dev --output /tmp/review"),
    commands=(
        Command(
            name="stacks",
            summary="list the stacks that a change touches, as JSON",
            description="List the stacks that a change touches, as JSON.",
            examples=("ci stacks --base origin/main",),
            options=_add_range,
            run=_stacks,
        ),
        Command(
            name="static",
            summary="judge the files of the touched stacks; needs no secret",
            description="Judge the files of the stacks that a change touches, and the step from "
            "its base to\nthem. Needs no secret and no cluster.",
            examples=("ci static --base origin/main",),
            options=_add_range,
            run=_static,
        ),
        Command(
            name="kubeconfig",
            summary="write $KUBECONFIG_TEXT where the stack file names one",
            description="Write $KUBECONFIG_TEXT to each path that the stack file names as a "
            "kubeconfig.",
            examples=("ci kubeconfig --stack dev",),
            options=_add_one_stack,
            run=_kubeconfig,
        ),
        Command(
            name="preview",
            summary="preview a stack, and post the review page",
            description="Preview a stack, leave its digest, findings and page in a directory, and "
            "post the page.",
            examples=("ci preview --stack dev --output /tmp/review",),
            options=_add_preview,
            run=_preview,
        ),
        Command(
            name="deploy",
            summary="apply what was merged, if it is what was previewed",
            description="Apply what was merged, if it is what was previewed and the preview was "
            "green.",
            examples=("ci deploy --stack dev",),
            options=_add_one_stack,
            run=_deploy,
        ),
        Command(
            name="drift",
            summary="compare what runs with what is declared",
            description="Compare what runs with what is declared, and open, update or close the "
            "stack's issue.",
            examples=("ci drift --stack dev",),
            options=_add_one_stack,
            run=_drift,
        ),
    ),
)
