"""Previews of a stack: making one, and saying of a failed one that it failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mtls_pki.engine.cli import run_pulumi
from mtls_pki.engine.digest import Diagnostic, DigestError, Preview, read_preview
from mtls_pki.engine.findings import PolicyFinding
from mtls_pki.rotation.text import redacted


def make_preview(stack: str, directory: Path) -> Preview:
    """Preview ``stack``; what the engine could not even begin is a preview that failed.

    Args:
        stack: its name, with its organisation where it has one.
        directory: of the project.

    Raises:
        CommandError: there is no ``pulumi``.
    """
    done = run_pulumi(
        *("preview", "--json", "--show-sames", "--stack", stack),
        directory=directory,
        instead=", or give --preview FILE with what `pulumi preview --json --show-sames` printed",
    )
    try:
        preview = read_preview(done.output)
    except DigestError:
        said = done.said.strip() or done.output.strip() or "it said nothing"
        return _failed(Preview(stack="", project="", steps=(), diagnostics=()), said)
    if done.status != 0 and not _says_error(preview):
        return _failed(preview, done.said.strip() or f"`pulumi preview` ended with {done.status}")
    return preview


def with_failure(preview: Preview, findings: Iterable[PolicyFinding]) -> Preview:
    """Return the preview of a failed run with an error in it, which tells that it failed.

    It is as it was where it has one already, or where a mandatory finding is the reason: the
    engine's JSON may not hold the reason for which the engine failed.
    """
    if _says_error(preview) or any(finding.mandatory for finding in findings):
        return preview
    return _failed(preview, "the engine failed, and its output does not say why: see its log")


def _says_error(preview: Preview) -> bool:
    return any(diagnostic.severity == "error" for diagnostic in preview.diagnostics)


def _failed(preview: Preview, said: str) -> Preview:
    error = Diagnostic(severity="error", message=redacted(said))
    return replace(preview, diagnostics=(*preview.diagnostics, error))
