"""The daily check of one stack: is what runs still what is declared?"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mtls_pki.ci.forge import Forge
from mtls_pki.ci.page import drift_page
from mtls_pki.ci.runner import add_summary
from mtls_pki.clusters.machines import rows
from mtls_pki.clusters.observed_domain import observe_domain
from mtls_pki.engine.cli import run_pulumi
from mtls_pki.engine.digest import is_change, read_preview
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pages.markers import drift_marker
from mtls_pki.registry import extensions, sources_of
from mtls_pki.rotation.owned_object import ObjectKey
from mtls_pki.settings.model import Settings
from mtls_pki.settings.stack_file.reading import open_stack_file

# No Secret is read: the stack's CA Secrets hold keys, and a job that runs every day must not have
# them. If a CA Secret was changed, issuers are not Ready, or the signer of leaves is unknown.
_UNREAD = "**kubernetes:core/v1:Secret::**"
# These notices appear at every run of a rotation that is in order.
_EXPECTED_NOTICES = frozenset({"canary-pending"})


def drift(stack: str, *, forge: Forge | None, environment: Mapping[str, str]) -> ExitStatus:
    """Compare, and open, update or close the stack's one issue.

    Returns:
        DONE if nothing differs, BLOCKED if something does.

    Raises:
        CommandError: a cluster, the state or the forge cannot be read; no issue is touched then.
    """
    changes, deleted = _objects(stack)
    sections = (
        ("Objects that `pulumi up` would change", changes),
        *_trust(stack, environment, deleted),
    )
    differs = any(lines for _, lines in sections)
    page = markdown_page(drift_page(stack, sections)) if differs else f"Stack {stack}: no drift.\n"
    print(page)
    add_summary(environment, page)
    if forge is not None:
        if differs:
            forge.put_issue(drift_marker(stack), f"Drift of stack {stack}", page)
        else:
            forge.close_issue(drift_marker(stack), "No run differs any more.")
    return ExitStatus.BLOCKED if differs else ExitStatus.DONE


def _objects(stack: str) -> tuple[list[str], set[ObjectKey]]:
    """Return what an update would do to each object, as they are now, and which it deletes."""
    done = run_pulumi(
        *("preview", "--stack", stack, "--refresh", "--expect-no-changes", "--json"),
        *("--exclude", _UNREAD),
        to_log=True,
    )
    try:
        digest: dict[str, Any] = json.loads(done.output)
        steps = [(step["op"], step["urn"].split("::", 2)[2]) for step in digest["steps"]]
        errors = [each for each in digest.get("diagnostics", ()) if each["severity"] == "error"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise CommandError(
            f"`pulumi preview --stack {stack}` gave no digest; see its output above"
        ) from None
    changes = [f"{op} {resource}" for op, resource in steps if is_change(op)]
    if done.status != 0 and not changes:
        said = errors[0]["message"].strip() if errors else "see its output above"
        raise CommandError(f"`pulumi preview --stack {stack}` failed: {said}")
    deleted = {
        step.object
        for step in read_preview(done.output).steps
        if step.op == "delete" and step.object is not None
    }
    return sorted(changes), deleted


def _trust(
    stack: str, environment: Mapping[str, str], deleted: Collection[ObjectKey]
) -> tuple[tuple[str, list[str]], ...]:
    """Return what the guards say of bundles, anchors and issuers, as `mtls-pki check` judges."""
    settings = open_stack_file(Path.cwd(), stack, environment, extensions()).settings()
    domain = observe_domain(settings, sources=sources_of(settings))
    verdict = domain.verdict()
    if verdict.unread:
        cluster, error = verdict.unread[0]
        raise CommandError(f"cluster {cluster} cannot be read: {error}")
    pending = [
        f"{change.generation}: {change.old or 'absent'} -> {change.new or 'absent'}"
        for change in verdict.changes
        if change.old != change.new
    ]
    said = [
        notice.message for notice in verdict.notices if notice.identifier not in _EXPECTED_NOTICES
    ]
    left = [each.entry for each in domain.evidence.undeclared if each.key not in deleted]
    return (
        ("Declared and not applied", pending),
        ("Bundles, anchors and issuers", said),
        ("Objects that no stack file declares (`mtls-pki prune`)", left),
        ("Access of machines", _access(settings)),
    )


def _access(settings: Settings) -> list[str]:
    """Return which machines need a new certificate, where this job may see theirs."""
    now = datetime.now(UTC)
    return [
        f"{row.machine} in cluster {row.cluster}: {due}"
        for row in rows(settings)
        if not row.problem and (due := row.due(now))
    ]
