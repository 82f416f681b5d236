"""Verdicts, positions and plans as text for people and as JSON for machines.

Deterministic: the same data gives the same bytes. JSON carries ``schema`` (``REPORT_SCHEMA``) and
``kind``; keys are only ever added within one version. Times are RFC 3339 in UTC, durations Go's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.guards import instant
from mtls_pki.rotation.plan import Plan, PlanStep
from mtls_pki.rotation.position import PHASE_MEANING, AnchorPosition, NextStep, Position
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Notice, Refusal
from mtls_pki.rotation.transitions import Change, Step
from mtls_pki.rotation.verdict import Verdict

REPORT_SCHEMA = "mtls-pki/rotation-report/v1"
"""Value of ``schema`` in every JSON report."""

NAMED_LAGGARDS = 10
"""How many laggards a text names before it only counts; JSON lists all of them."""


def refusal_message(verdict: Verdict) -> str:
    """Return one message with every refusal of the verdict: rule, facts, laggards, remedy, time."""
    count = len(verdict.refusals)
    lines = [
        f"refused: {verdict.request.trust_domain} cannot make this change of trust "
        f"({count} {'reason' if count == 1 else 'reasons'})"
    ]
    if changed := changes_line(verdict.changes):
        lines.append(f"change: {changed}")
    for number, refusal in enumerate(verdict.refusals, start=1):
        lines += ["", *_refusal_lines(number, refusal)]
    return "\n".join(lines)


def notice_message(notice: Notice) -> str:
    """Return one notice as text, its first laggards indented below."""
    # A notice about one object already names it.
    listed = notice.laggards
    if len(listed) == 1 and listed[0].detail in notice.message:
        listed = ()
    lines = (f"  {line}" for line in laggard_lines(listed))
    return "\n".join([printable(notice.message), *lines])


def verdict_text(verdict: Verdict) -> str:
    """Return the whole verdict as text: the refusals or that it is safe, then the notices."""
    head = refusal_message(verdict)
    if verdict.allowed:
        head = f"safe: {changes_line(verdict.changes) or 'no change of trust'}"
    parts = [head, *(f"warning: {notice_message(notice)}" for notice in verdict.notices)]
    return "\n".join(parts) + "\n"


def changes_line(changes: Sequence[Change]) -> str:
    """``g1: issuing -> outgoing, g2: incoming -> issuing``; empty when nothing changes."""
    return ", ".join(
        f"{change.generation}: {change.old or 'absent'} -> {change.new or 'absent'}"
        for change in changes
        if change.step is not Step.KEEP
    )


def laggard_lines(laggards: Sequence[Laggard]) -> list[str]:
    """Return a line for each of the first laggards, and one that counts the rest."""
    lines = []
    for laggard in laggards[:NAMED_LAGGARDS]:
        since = f" (since {instant(laggard.since)})" if laggard.since else ""
        lines.append(printable(f"{laggard.place}: {laggard.detail}{since}"))
    if len(laggards) > NAMED_LAGGARDS:
        lines.append(f"{len(laggards) - NAMED_LAGGARDS} more")
    return lines


def printable(text: str) -> str:
    """Return ``text`` on one line without control characters.

    Messages of issuers and errors of clusters are other people's text, and a terminal obeys it.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON-able data of kind ``verdict``."""
    return {
        **_head("verdict", verdict.judged_at),
        "trustDomain": verdict.request.trust_domain,
        "mode": verdict.mode.value,
        "allowed": verdict.allowed,
        "exitCode": int(verdict.exit_code),
        "earliest": _time(verdict.earliest),
        "holdDown": format_duration(verdict.request.hold_down),
        "changes": [
            {
                "generation": change.generation,
                "fingerprint": change.fingerprint,
                "from": _role(change.old),
                "to": _role(change.new),
                "step": change.step.value if change.step else None,
            }
            for change in verdict.changes
        ],
        "refusals": [_refusal_json(refusal) for refusal in verdict.refusals],
        "notices": [_notice_json(notice) for notice in verdict.notices],
        "unreadClusters": [
            {"cluster": cluster, "error": error} for cluster, error in verdict.unread
        ],
    }


def position_json(position: Position) -> dict[str, Any]:
    """Return the position as JSON-able data of kind ``position``."""
    return {**_head("position", position.at), **_position_body(position)}


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON-able data of kind ``plan``; ``position`` is where it starts."""
    return {
        **_head("plan", plan.position.at),
        "position": _position_body(plan.position),
        "steps": [
            {
                "verb": step.verb,
                "title": step.title,
                "edit": list(step.edit),
                "earliest": _time(step.earliest),
                "basis": step.basis,
                "ready": step.ready,
                "laggards": [_laggard_json(laggard) for laggard in step.laggards],
            }
            for step in plan.steps
        ],
    }


def plan_text(plan: Plan) -> str:
    """Return the plan as plain text."""
    lines = [_position_line(plan.position), ""]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number}. {step.title}: {when(step)}")
        lines += [f"   edit: {edit}" for edit in step.edit]
        lines.append(f"   why:  {step.basis}")
        lines += [f"   waits for {line}" for line in laggard_lines(step.laggards)]
    return "\n".join(lines) + "\n"


def plan_markdown(plan: Plan) -> str:
    """Return the plan as GitHub Markdown with a Mermaid timeline."""
    position = plan.position
    lines = [
        f"# Rotation of {_markdown(position.request.trust_domain)}",
        "",
        _markdown(_position_line(position)),
        "",
        "```mermaid",
        "timeline",
        f"    title Earliest dates, seen at {_mermaid(instant(position.at))}",
    ]
    for step in plan.steps:
        time = _mermaid(instant(step.earliest)) if step.earliest else "not computable"
        lines.append(f"    {time} : {_mermaid(step.title)}")
    lines += ["```", "", "| anchor | role | fingerprint | ends | bundles | since | leaves |"]
    lines.append("|---|---|---|---|---|---|---|")
    for anchor in position.anchors:
        cells = [_markdown(cell) for cell in anchor_cells(anchor)]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number}. **{_markdown(step.title)}**, {when(step)}: {step.basis}")
        lines += [f"   - `{edit}`" for edit in step.edit]
        lines += [f"   - waits for {_markdown(line)}" for line in laggard_lines(step.laggards)]
    if position.notices:
        lines += ["", "## Warnings", ""]
        lines += [f"- {_markdown(printable(notice.message))}" for notice in position.notices]
    return "\n".join(lines) + "\n"


def anchor_cells(anchor: AnchorPosition) -> tuple[str, ...]:
    """Return generation, role, fingerprint, end, bundles, since and leaves as words."""
    return (
        anchor.generation or "not of this stack",
        anchor.role.value if anchor.role else "-",
        f"sha256:{anchor.fingerprint}" if anchor.fingerprint else "no key yet",
        instant(anchor.not_after) if anchor.not_after else "-",
        f"{anchor.bundles} of {anchor.of_bundles}",
        instant(anchor.since) if anchor.since else "-",
        str(anchor.leaves),
    )


def when(step: PlanStep | NextStep) -> str:
    """Return when a step can be applied, in words."""
    ready = step.ready if isinstance(step, PlanStep) else step.allowed
    if ready:
        return "can be applied now"
    if step.earliest is None:
        return "time not computable"
    return f"not before {instant(step.earliest)}"


def _refusal_lines(number: int, refusal: Refusal) -> list[str]:
    rule = refusal.rule
    lines = [f"{number}. {rule.sentence} [{rule.identifier}; {rule.source}]"]
    named = laggard_lines(refusal.laggards)
    if refusal.earliest is not None:
        earliest = instant(refusal.earliest)
    elif rule.by_evidence:
        earliest = "cannot be computed"
    else:
        earliest = "waiting does not help"
    for label, values in (
        ("seen", [printable(fact) for fact in refusal.seen]),
        ("laggards", named),
        ("do", [refusal.remedy]),
        ("earliest", [earliest]),
    ):
        for index, value in enumerate(values):
            lines.append(f"   {f'{label}:' if index == 0 else '':<10}{value}")
    return lines


def _position_line(position: Position) -> str:
    return (
        f"{position.request.trust_domain} is {position.phase} at {instant(position.at)}: "
        f"{PHASE_MEANING[position.phase]}"
    )


def _head(kind: str, at: datetime) -> dict[str, Any]:
    return {"schema": REPORT_SCHEMA, "kind": kind, "at": instant(at)}


def _position_body(position: Position) -> dict[str, Any]:
    return {
        "trustDomain": position.request.trust_domain,
        "phase": position.phase.value,
        "holdDown": format_duration(position.request.hold_down),
        "anchors": [
            {
                "generation": anchor.generation,
                "role": _role(anchor.role),
                "fingerprint": anchor.fingerprint,
                "notAfter": _time(anchor.not_after),
                "bundles": anchor.bundles,
                "ofBundles": anchor.of_bundles,
                "since": _time(anchor.since),
                "leaves": anchor.leaves,
                "issues": anchor.issues,
            }
            for anchor in position.anchors
        ],
        "clusters": [
            {
                "cluster": cluster.cluster,
                "error": cluster.error,
                "leavesBySigner": [
                    {
                        "generation": position.request.new.generation_of(fingerprint),
                        "fingerprint": fingerprint,
                        "leaves": count,
                    }
                    for fingerprint, count in cluster.leaves
                ],
                "unknownLeaves": cluster.unknown_leaves,
                "foreignLeaves": cluster.foreign_leaves,
            }
            for cluster in position.clusters
        ],
        "nextSteps": [
            {
                "verb": step.verb,
                "generations": list(step.generations),
                "allowed": step.allowed,
                "earliest": _time(step.earliest),
                "laggards": [_laggard_json(laggard) for laggard in step.laggards],
            }
            for step in position.steps
        ],
        "notices": [_notice_json(notice) for notice in position.notices],
    }


def _refusal_json(refusal: Refusal) -> dict[str, Any]:
    return {
        "rule": refusal.rule.identifier,
        "sentence": refusal.rule.sentence,
        "source": refusal.rule.source,
        "byEvidence": refusal.rule.by_evidence,
        "generation": refusal.generation,
        "fingerprint": refusal.fingerprint,
        "seen": list(refusal.seen),
        "remedy": refusal.remedy,
        "earliest": _time(refusal.earliest),
        "laggards": [_laggard_json(laggard) for laggard in refusal.laggards],
    }


def _notice_json(notice: Notice) -> dict[str, Any]:
    return {
        "notice": notice.identifier,
        "message": notice.message,
        "laggards": [_laggard_json(laggard) for laggard in notice.laggards],
    }


def _laggard_json(laggard: Laggard) -> dict[str, Any]:
    return {
        "cluster": laggard.cluster,
        "namespace": laggard.namespace,
        "kind": laggard.kind,
        "name": laggard.name,
        "detail": laggard.detail,
        "since": _time(laggard.since),
        "clearsAt": _time(laggard.clears_at),
    }


def _time(moment: datetime | None) -> str | None:
    return instant(moment) if moment else None


def _role(role: Role | None) -> str | None:
    return role.value if role else None


def _markdown(text: str) -> str:
    """Escape what Markdown or a table cell would take for markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped.replace("\n", " ")


def _mermaid(text: str) -> str:
    """Replace what Mermaid's timeline takes for syntax: colons part events, # and ; end lines."""
    return text.translate(str.maketrans(":;#\n", ".,  "))
