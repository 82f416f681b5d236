"""The preview of one stack in a pull request: run it, make its page, post the page, record it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.ci import repository
from mtls_pki.ci.errors import CiError
from mtls_pki.ci.forge import Forge, Status
from mtls_pki.ci.page import no_page, review_marker
from mtls_pki.ci.runner import add_summary
from mtls_pki.engine import command as engine
from mtls_pki.engine.findings import written
from mtls_pki.engine.policy_output import ENVIRONMENT, read_findings

REFUSED = 3
"""Exit status of ``rotation review`` (and of this) where the guard refuses the change."""

_EVIDENCE_MISSING = 4


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
) -> int:
    """Preview ``stack`` and leave its digest, findings and page in ``output``.

    On a forge, the page becomes the change's one comment for this stack, and the outcome becomes a
    status of its head. Without a forge, in a person's shell, only the files are written.

    Returns:
        0 if the change may be merged, 3 if the guard refuses it, 1 if the preview or the policy
        pack failed.

    Raises:
        CiError: a command is missing, a file cannot be written, or the forge refuses.
    """
    if forge is not None and (changed := repository.uncommitted()):
        raise CiError(
            f"the working directory differs from its commit ({changed[0]}), so what is previewed "
            "would not be what is merged; commit it, or write elsewhere"
        )
    verdict, page = _review(stack, change, output)
    engine.write(output / f"{stack}.md", page)
    add_summary(environment, page)
    if forge is not None:
        words = {0: "may be applied", REFUSED: "refused"}.get(verdict, "failed")
        described = describe(repository.tree("HEAD"), words)
        # The status comes last: if the comment cannot be written, nothing counts as previewed.
        if change.number is not None:
            forge.put_comment(change.number, review_marker(stack), page)
        forge.set_status(
            change.commit,
            Status(context=context(stack), passed=verdict == 0, description=described),
        )
    return verdict


def _review(stack: str, change: Change, output: Path) -> tuple[int, str]:
    """Return the verdict and the page."""
    digest, markdown, html = (output / f"{stack}.{end}" for end in ("json", "md", "html"))
    markdown.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "events"
        previewed = engine.pulumi(
            "preview", "--stack", stack, "--json", "--show-sames",
            "--policy-pack", engine.POLICY_PACK, "--event-log", str(log),
            extra_environment=ENVIRONMENT,
        )  # fmt: skip
        findings = read_findings(log)
    engine.write(digest, previewed.output)
    found = engine.write(output / f"{stack}.findings.json", written(findings))
    reviewed = engine.rotation(
        "review", "--stack", stack, "--preview", str(digest), "--commit", change.commit,
        "--findings", str(found), *(("--failed",) if previewed.status != 0 else ()),
        "--markdown", str(markdown), "--html", str(html),
    )  # fmt: skip
    if not markdown.exists():
        return 1, no_page(stack, change.commit)
    page = markdown.read_text(encoding="utf-8")
    if reviewed.status == REFUSED:
        return REFUSED, page
    # Missing evidence is a warning on the page; `pulumi up` refuses without it.
    passed = previewed.status == 0 and reviewed.status in (0, _EVIDENCE_MISSING)
    return (0 if passed else 1), page
