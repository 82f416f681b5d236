"""Verdicts, positions and plans as text for people and as JSON for machines.

Deterministic: the same data gives the same bytes. JSON carries ``schema`` (``REPORT_SCHEMA``) and
``kind``; keys are only ever added within one version. Times are RFC 3339 in UTC, durations Go's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mtls_pki.rotation.deadlines import Deadline
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.plan import Plan, PlanStep
from mtls_pki.rotation.position import PHASE_MEANING, AnchorPosition, NextStep, Position
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard, Notice, Refusal
from mtls_pki.rotation.text import instant, printable
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
    lines = (f"  {line}" for line in laggard_lines(unsaid_laggards(notice)))
    return "\n".join([printable(notice.message), *lines])


def unsaid_laggards(notice: Notice) -> tuple[Laggard, ...]:
    """Return the laggards that the notice's message does not name itself."""
    # A notice about one object already names it.
    listed = notice.laggards
    return () if len(listed) == 1 and listed[0].detail in notice.message else listed


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


def laggard_lines(laggards: Sequence[Laggard], *, of: int | None = None) -> list[str]:
    """Return a line for each of the first laggards, and one that counts the rest.

    Args:
        laggards: whom to name.
        of: how many there are, where ``laggards`` are not all of them.
    """
    count = len(laggards) if of is None else of
    lines = []
    for laggard in laggards[:NAMED_LAGGARDS]:
        since = f" (since {instant(laggard.since)})" if laggard.since else ""
        lines.append(printable(f"{laggard.place}: {laggard.detail}{since}"))
    if count > len(lines):
        lines.append(f"{count - len(lines)} more")
    return lines


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON-able data of kind ``verdict``."""
    return {**report_head("verdict", verdict.judged_at), **verdict_body(verdict)}


def verdict_body(verdict: Verdict, *, named: int | None = None) -> dict[str, Any]:
    """Return what ``verdict_json`` holds besides its head.

    Args:
        verdict: what to tell.
        named: how many laggards of a refusal or a notice are listed, and then ``laggardCount`` says
            how many there are; None for all of them.
    """
    return {
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
        "refusals": [_refusal_json(refusal, named) for refusal in verdict.refusals],
        "notices": [_notice_json(notice, named) for notice in verdict.notices],
        "unreadClusters": [
            {"cluster": cluster, "error": error} for cluster, error in verdict.unread
        ],
    }


def notices_json(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """Return notices as JSON-able data."""
    return [_notice_json(notice) for notice in notices]


def position_json(position: Position) -> dict[str, Any]:
    """Return the position as JSON-able data of kind ``position``."""
    return {**report_head("position", position.at), **_position_body(position)}


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON-able data of kind ``plan``; ``position`` is where it starts."""
    return {
        **report_head("plan", plan.position.at),
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
    lines = [position_line(plan.position), ""]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number}. {step.title}: {when(step)}")
        lines += [f"   edit: {edit}" for edit in step.edit]
        lines.append(f"   why:  {step.basis}")
        lines += [f"   waits for {line}" for line in laggard_lines(step.laggards)]
    return "\n".join(lines) + "\n"


def deadlines_text(plan: Plan, found: Sequence[Deadline]) -> str:
    """Return the last safe times as plain text."""
    lines = [position_line(plan.position), ""]
    for number, each in enumerate(found, start=1):
        late = "  TOO LATE" if each.late else ""
        lines.append(f"{number}. {each.step.title}: at the latest {instant(each.latest)}{late}")
        lines += [f"   edit: {edit}" for edit in each.step.edit]
        lines.append(f"   why:  {each.basis}")
    return "\n".join(lines) + "\n"


def deadlines_json(plan: Plan, found: Sequence[Deadline]) -> dict[str, Any]:
    """Return the last safe times as JSON-able data of kind ``deadlines``."""
    return {
        **report_head("deadlines", plan.position.at),
        "position": _position_body(plan.position),
        "steps": [
            {
                "verb": each.step.verb,
                "title": each.step.title,
                "edit": list(each.step.edit),
                "latest": instant(each.latest),
                "basis": each.basis,
                "late": each.late,
            }
            for each in found
        ],
    }


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


def earliest_words(earliest: datetime | None, *, by_evidence: bool) -> str:
    """Return from when on a refused change can succeed, in words."""
    if earliest is not None:
        return instant(earliest)
    return "cannot be computed" if by_evidence else "waiting does not help"


def _refusal_lines(number: int, refusal: Refusal) -> list[str]:
    rule = refusal.rule
    lines = [f"{number}. {rule.sentence} [{rule.identifier}; {rule.source}]"]
    named = laggard_lines(refusal.laggards)
    earliest = earliest_words(refusal.earliest, by_evidence=rule.by_evidence)
    for label, values in (
        ("seen", [printable(fact) for fact in refusal.seen]),
        ("laggards", named),
        ("do", [refusal.remedy]),
        ("earliest", [earliest]),
    ):
        for index, value in enumerate(values):
            lines.append(f"   {f'{label}:' if index == 0 else '':<10}{value}")
    return lines


def position_line(position: Position) -> str:
    """Return the phase of a rotation, and what it means, in one sentence."""
    return (
        f"{position.request.trust_domain} is {position.phase} at {instant(position.at)}: "
        f"{PHASE_MEANING[position.phase]}"
    )


def report_head(kind: str, at: datetime) -> dict[str, Any]:
    """Return what every JSON report begins with."""
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
                "overdueLeaves": cluster.overdue_leaves,
                "firstEnd": _time(cluster.first_end),
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


def _refusal_json(refusal: Refusal, named: int | None) -> dict[str, Any]:
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
        **_laggards_json(refusal.laggards, named),
    }


def _notice_json(notice: Notice, named: int | None = None) -> dict[str, Any]:
    return {
        "notice": notice.identifier,
        "message": notice.message,
        **_laggards_json(notice.laggards, named),
    }


def _laggards_json(laggards: Sequence[Laggard], named: int | None) -> dict[str, Any]:
    listed = [_laggard_json(laggard) for laggard in laggards[:named]]
    return {"laggards": listed} | ({} if named is None else {"laggardCount": len(laggards)})


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
