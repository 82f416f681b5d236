"""The preview of one stack in a pull request: run it, make its page, post the page, record it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.ci import repository
from mtls_pki.ci.forge import Forge, Status
from mtls_pki.ci.page import no_page
from mtls_pki.ci.runner import add_summary
from mtls_pki.engine.cli import POLICY_PACK, run_pulumi
from mtls_pki.engine.digest import DigestError, read_preview
from mtls_pki.engine.event_log import ENVIRONMENT, read_findings
from mtls_pki.engine.findings import written
from mtls_pki.engine.preview import with_failure
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pages.markers import review_marker
from mtls_pki.private_directory import private_directory
from mtls_pki.review.page import review_page
from mtls_pki.review.review import review
from mtls_pki.review.verdict import Outcome

_WORDS = {ExitStatus.DONE: "may be applied", ExitStatus.BLOCKED: "refused"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is reviewed.

    Attributes:
        commit: SHA of the change's head; the page names it, and the status is recorded for it.
        number: of the pull or merge request; None if there is none.
    """

    commit: str
    number: int | None


def context(stack: str) -> str:
    """Return the name of the status that a preview of ``stack`` records."""
    return f"mtls-pki/preview/{stack}"


def describe(tree: str, verdict: str) -> str:
    """Return a status text that names the tree of files that was previewed."""
    return f"{verdict}; tree {tree}"


def described_tree(description: str) -> str | None:
    """Return the tree in a text of :func:`describe`; None for any other text."""
    _, found, tree = description.rpartition("; tree ")
    return tree if found else None


def preview(
    stack: str,
    change: Change,
    *,
    output: Path,
    forge: Forge | None,
    environment: Mapping[str, str],
) -> ExitStatus:
    """Preview ``stack`` and leave its digest, findings and page in ``output``.

    On a forge, the page becomes the change's one comment for this stack, and the outcome becomes a
    status of its head. Without a forge, in a person's shell, only the files are written.

    Returns:
        DONE if the change may be merged, BLOCKED if the guard refuses it, ERROR if the preview or
        the policy pack failed.

    Raises:
        CommandError: a command is missing, a file cannot be written, or the forge refuses.
    """
    if forge is not None and (changed := repository.uncommitted()):
        raise CommandError(
            f"the working directory differs from its commit ({changed[0]}), so what is previewed "
            "would not be what is merged; commit it, or write elsewhere"
        )
    status, page = _review(stack, change, output)
    _write(output / f"{stack}.md", page)
    add_summary(environment, page)
    if forge is not None:
        described = describe(repository.tree("HEAD"), _WORDS.get(status, "failed"))
        # The status comes last: if the comment cannot be written, nothing counts as previewed.
        if change.number is not None:
            forge.put_comment(change.number, review_marker(stack), page)
        forge.set_status(
            change.commit,
            Status(context=context(stack), passed=status == ExitStatus.DONE, description=described),
        )
    return status


def _review(stack: str, change: Change, output: Path) -> tuple[ExitStatus, str]:
    """Preview, and return the status and the page as Markdown; the other files are left behind."""
    digest, html = (output / f"{stack}.{end}" for end in ("json", "html"))
    # A page of an earlier run is none of this one.
    html.unlink(missing_ok=True)
    # The log of events holds what the program registers, keys included.
    with private_directory(Path(tempfile.gettempdir())) as private:
        log = private.path / "events"
        previewed = run_pulumi(
            *("preview", "--stack", stack, "--json", "--show-sames"),
            *("--policy-pack", POLICY_PACK, "--event-log", str(log)),
            environment=ENVIRONMENT,
            to_log=True,
        )
        findings = read_findings(log)
    _write(digest, previewed.output)
    _write(output / f"{stack}.findings.json", written(findings))
    try:
        found = read_preview(previewed.output)
    except DigestError as error:
        complain(f"{digest}: {error}")
        return ExitStatus.ERROR, markdown_page(no_page(stack, change.commit))
    if previewed.status != 0:
        found = with_failure(found, findings)
    reviewed = review(found, stack=stack, commit=change.commit, findings=findings)
    page = review_page(reviewed)
    _write(html, html_page(page))
    return _status(reviewed.outcome, failed=previewed.status != 0), markdown_page(page)


def _status(outcome: Outcome, *, failed: bool) -> ExitStatus:
    if outcome is Outcome.REFUSED:
        return ExitStatus.BLOCKED
    # Missing evidence is a warning on the page; `pulumi up` refuses without it.
    passed = not failed and outcome in (Outcome.SAFE, Outcome.UNSEEN)
    return ExitStatus.DONE if passed else ExitStatus.ERROR


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written ({error.strerror}); name another --output"
        ) from None
