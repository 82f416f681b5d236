"""The daily check of one stack: is what runs still what is declared?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtls_pki.ci.errors import CiError
from mtls_pki.ci.forge import Forge
from mtls_pki.ci.page import drift_marker, drift_page
from mtls_pki.ci.runner import add_summary
from mtls_pki.engine import command as engine

DRIFTED = 3
"""Exit status where something differs, or an anchor nears its end."""

# No Secret is read: the stack's CA Secrets hold keys, and a job that runs every day must not have
# them. If a CA Secret was changed, issuers are not Ready, or the signer of leaves is unknown.
_UNREAD = "**kubernetes:core/v1:Secret::**"
_NO_CHANGE = frozenset({"same", "read", "refresh"})
# These notices appear at every run of a rotation that is in order.
_EXPECTED_NOTICES = frozenset({"canary-pending"})


def drift(stack: str, *, forge: Forge | None, environment: Mapping[str, str]) -> int:
    """Compare, and open, update or close the stack's one issue.

    Returns:
        0 if nothing differs, 3 if something does.

    Raises:
        CiError: a cluster, the state or the forge cannot be read; no issue is touched then.
    """
    sections = (("Objects that `pulumi up` would change", _objects(stack)), *_trust(stack))
    differs = any(lines for _, lines in sections)
    page = drift_page(stack, sections) if differs else f"Stack {stack}: no drift.\n"
    print(page)
    add_summary(environment, page)
    if forge is not None:
        if differs:
            forge.put_issue(drift_marker(stack), f"Drift of stack {stack}", page)
        else:
            forge.close_issue(drift_marker(stack), "No run differs any more.")
    return DRIFTED if differs else 0


def _objects(stack: str) -> list[str]:
    """Return what an update would do to each object, seen as the objects are now."""
    done = engine.pulumi(
        "preview", "--stack", stack, "--refresh", "--expect-no-changes", "--json",
        "--exclude", _UNREAD,
    )  # fmt: skip
    try:
        digest: dict[str, Any] = json.loads(done.output)
        steps = [(step["op"], step["urn"].split("::", 2)[2]) for step in digest["steps"]]
        errors = [each for each in digest.get("diagnostics", ()) if each["severity"] == "error"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise CiError(
            f"`pulumi preview --stack {stack}` gave no digest; see its output above"
        ) from None
    changes = [f"{op} {resource}" for op, resource in steps if op not in _NO_CHANGE]
    if done.status != 0 and not changes:
        said = errors[0]["message"].strip() if errors else "see its output above"
        raise CiError(f"`pulumi preview --stack {stack}` failed: {said}")
    return sorted(changes)


def _trust(stack: str) -> tuple[tuple[str, list[str]], ...]:
    """Return what the guards say of bundles, anchors and issuers."""
    done = engine.rotation("check", "--stack", stack, "--json")
    try:
        verdict: dict[str, Any] = json.loads(done.output)
        unread = verdict["unreadClusters"]
        pending = [
            f"{each['generation']}: {each['from'] or 'absent'} -> {each['to'] or 'absent'}"
            for each in verdict["changes"]
            if each["from"] != each["to"]
        ]
        said = [
            notice["message"]
            for notice in verdict["notices"]
            if notice["notice"] not in _EXPECTED_NOTICES
        ]
    except (ValueError, KeyError, TypeError):
        raise CiError(f"`mtls-pki check --stack {stack}` failed; see its output above") from None
    if unread:
        raise CiError(f"cluster {unread[0]['cluster']} cannot be read: {unread[0]['error']}")
    return (
        ("Declared and not applied", pending),
        ("Bundles, anchors and issuers", said),
    )
