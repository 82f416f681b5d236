"""The review of a preview: the engine is run, or its output is read, and one page is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from mtls_pki.engine.digest import Diagnostic, DigestError, Preview, read_preview
from mtls_pki.engine.findings import PolicyFinding, read_findings
from mtls_pki.errors import CliError
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.review.page import review_page
from mtls_pki.review.review import Review, review
from mtls_pki.rotation.text import redacted
from mtls_pki.settings.stack_file.reading import StackFile

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """What the command line says.

    Attributes:
        stack: as it was named, None for the selected one; with its organisation where one is given.
        preview: what `pulumi preview --json` printed, ``-`` for standard input; None to run it.
        findings: what a policy pack found in it, as JSON; None for no pack.
        failed: the engine ended with an error, whether or not ``preview`` says so.
        markdown: where the page goes, None for standard output.
        html: where it also goes as HTML, None for nowhere.
        commit: shown on the page.
    """

    stack: str | None
    preview: Path | None
    findings: Path | None
    failed: bool
    markdown: Path | None
    html: Path | None
    commit: str | None


def write_review(stack: StackFile, options: ReviewOptions) -> Review:
    """Write the page of a preview of ``stack``, also of one that was refused or that failed.

    Raises:
        CliError: there is no preview, it is another stack's, or a file cannot be read or written.
    """
    if options.preview is None:
        preview = _run(stack, options.stack or stack.stack)
    else:
        preview = _preview_in(options.preview)
    if preview.stack not in ("", stack.stack):
        raise CliError(
            f"--preview {options.preview}: it is of stack {preview.stack!r}, not of "
            f"{stack.stack!r}; name its stack with --stack"
        )
    findings = () if options.findings is None else _findings_in(options.findings)
    explained = _says_error(preview) or any(finding.mandatory for finding in findings)
    if options.failed and not explained:
        preview = _failed(
            preview, "the engine failed, and its output does not say why: see its log"
        )
    found = review(preview, stack=stack.stack, commit=options.commit, findings=findings)
    page = review_page(found)
    if options.html is not None:
        _write(options.html, html_page(page), "--html")
    if options.markdown is not None:
        _write(options.markdown, markdown_page(page), "--markdown")
    else:
        sys.stdout.write(markdown_page(page))
    return found


def _preview_in(path: Path) -> Preview:
    try:
        return read_preview(_text(path, "--preview"))
    except DigestError as error:
        raise CliError(f"--preview {path}: {error}") from None


def _findings_in(path: Path) -> tuple[PolicyFinding, ...]:
    try:
        return read_findings(_text(path, "--findings"))
    except DigestError as error:
        raise CliError(f"--findings {path}: {error}") from None


def _text(path: Path, option: str) -> str:
    try:
        return sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{option} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CliError(f"{option} {path}: it is not UTF-8 text") from None


def _run(stack: StackFile, name: str) -> Preview:
    """Preview the stack; what the engine could not even begin is a preview that failed."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise CliError(
            "there is no `pulumi` on PATH; install it, or give --preview FILE with what "
            "`pulumi preview --json --show-sames` printed"
        )
    done = subprocess.run(
        [pulumi, "preview", "--json", "--show-sames", "--non-interactive", "--stack", name],
        cwd=stack.path.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        preview = read_preview(done.stdout)
    except DigestError:
        said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
        return _failed(Preview(stack="", project="", steps=(), diagnostics=()), said)
    if done.returncode != 0 and not _says_error(preview):
        said = done.stderr.strip() or f"`pulumi preview` ended with {done.returncode}"
        return _failed(preview, said)
    return preview


def _says_error(preview: Preview) -> bool:
    return any(diagnostic.severity == "error" for diagnostic in preview.diagnostics)


def _failed(preview: Preview, said: str) -> Preview:
    error = Diagnostic(severity="error", message=redacted(said))
    return replace(preview, diagnostics=(*preview.diagnostics, error))


def _write(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{option} {path}: {error.strerror}") from None
