"""``mtls-pki review``: the engine is run, or its output is read, and one page is written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.commands.command import FILE, Command, add_stack, open_stack
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus

if TYPE_CHECKING:
    from mtls_pki.engine.digest import Preview
    from mtls_pki.engine.findings import PolicyFinding

_STANDARD_INPUT = Path("-")


def _options(parser: argparse.ArgumentParser) -> None:
    add_stack(parser)
    parser.add_argument(
        "--preview",
        type=Path,
        metavar=FILE,
        help="what `pulumi preview --json --show-sames` printed, - for standard input; "
        "default: run it",
    )
    parser.add_argument(
        "--findings",
        type=Path,
        metavar=FILE,
        help="what a policy pack found in it: JSON, a list of level, rule, resource and message",
    )
    parser.add_argument(
        "--failed", action="store_true", help="the engine ended with an error at that preview"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar=FILE, help="write the page there; default: print it"
    )
    parser.add_argument("--html", type=Path, metavar=FILE, help="write it there as HTML too")
    parser.add_argument("--commit", metavar="SHA", help="that was previewed; shown on the page")


def _run(options: argparse.Namespace) -> ExitStatus:
    from mtls_pki.engine.preview import make_preview, with_failure
    from mtls_pki.pages.html import html_page
    from mtls_pki.pages.markdown import markdown_page
    from mtls_pki.review.page import review_page
    from mtls_pki.review.review import review

    stack = open_stack(options)
    if options.preview is None:
        preview = make_preview(options.stack or stack.stack, stack.path.parent)
    else:
        preview = _preview_in(options.preview)
    if preview.stack not in ("", stack.stack):
        raise CommandError(
            f"--preview {options.preview}: it is of stack {preview.stack!r}, not of "
            f"{stack.stack!r}; name its stack with --stack"
        )
    findings = () if options.findings is None else _findings_in(options.findings)
    if options.failed:
        preview = with_failure(preview, findings)
    found = review(preview, stack=stack.stack, commit=options.commit, findings=findings)
    page = review_page(found)
    if options.html is not None:
        _write(options.html, html_page(page), "--html")
    if options.markdown is not None:
        _write(options.markdown, markdown_page(page), "--markdown")
    else:
        sys.stdout.write(markdown_page(page))
    return ExitStatus(found.outcome)


def _preview_in(path: Path) -> Preview:
    from mtls_pki.engine.digest import DigestError, read_preview

    try:
        return read_preview(_text(path, "--preview"))
    except DigestError as error:
        raise CommandError(f"--preview {path}: {error}") from None


def _findings_in(path: Path) -> tuple[PolicyFinding, ...]:
    from mtls_pki.engine.digest import DigestError
    from mtls_pki.engine.findings import read_findings

    try:
        return read_findings(_text(path, "--findings"))
    except DigestError as error:
        raise CommandError(f"--findings {path}: {error}") from None


def _text(path: Path, option: str) -> str:
    try:
        return sys.stdin.read() if path == _STANDARD_INPUT else path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{option} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{option} {path}: it is not UTF-8 text") from None


def _write(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{option} {path}: {error.strerror}") from None


COMMAND = Command(
    name="review",
    summary="what `pulumi preview` means, as one page to decide on",
    description="Turn a preview into one Markdown page: what changes in trust, the guard's "
    "verdict, what\ncomes next, what can be undone. Runs `pulumi preview`, or reads what it "
    "printed. It\nshows no secret and is never longer than a comment may be.",
    examples=(
        "review",
        "review --stack prod --markdown review.md --html review.html",
        "review --preview preview.json --commit 0f3c2a1",
    ),
    options=_options,
    run=_run,
)
