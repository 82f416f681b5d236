"""The steps that remain of a rotation, with the earliest date of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.generations import next_generation
from mtls_pki.rotation.position import NextStep, Position, locate
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard
from mtls_pki.rotation.text import instant


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """One update to come.

    Attributes:
        verb: ``add``, ``promote``, ``retire`` or ``forget``.
        edit: what changes in the stack's configuration, one line each.
        earliest: earliest time at which it can be applied, a lower bound; None when it cannot be
            computed.
        basis: why not earlier.
        ready: it can be applied now.
        laggards: what keeps it from being applied now; known for the next step only.
    """

    verb: str
    title: str
    edit: tuple[str, ...]
    earliest: datetime | None
    basis: str
    ready: bool
    laggards: tuple[Laggard, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The remaining steps in order, and the position that they start from."""

    position: Position
    steps: tuple[PlanStep, ...]


def plan(request: ChangeRequest, evidence: Evidence, *, now: datetime) -> Plan:
    """Return the steps from ``request.new`` to the end of its rotation.

    When no rotation is under way, that is a whole rotation to a new generation.
    """
    position = locate(request, evidence, now=now)
    stage, hold_down = request.new, request.hold_down
    offered = {step.verb: step for step in position.steps}
    steps: list[PlanStep] = []
    if "forget" in offered:
        steps.append(_offered(offered["forget"], now))
    if "retire" in offered:
        steps.append(_offered(offered["retire"], now))
    elif "promote" in offered:
        steps.append(_offered(offered["promote"], now))
        steps.append(_retire_after(steps[-1].earliest, stage.issuing or "", hold_down))
    elif stage.issuing:
        generation = next_generation(stage.anchors)
        steps.append(
            PlanStep(
                verb="add",
                title=f"Add {generation} as incoming",
                edit=(f"add anchors.{generation} with role: incoming",),
                earliest=now,
                basis="adding trust breaks no connection",
                ready=True,
            )
        )
        steps.append(
            PlanStep(
                verb="promote",
                title=f"Make {generation} issuing",
                edit=_promotion(generation, stage.issuing),
                earliest=now + hold_down,
                basis=f"hold-down {format_duration(hold_down)} after {generation} is in every "
                "bundle",
                ready=False,
            )
        )
        steps.append(_retire_after(now + hold_down, stage.issuing, hold_down))
    return Plan(position=position, steps=tuple(steps))


def _offered(step: NextStep, now: datetime) -> PlanStep:
    names = ", ".join(step.generations)
    stage = step.verdict.request.old
    if step.verb == "promote":
        title = f"Make {names} issuing"
        edit = _promotion(names, (stage.issuing if stage else None) or "")
    else:
        title = f"Remove {names}"
        edit = tuple(f"remove anchors.{generation}" for generation in step.generations)
    if step.allowed:
        basis = "every guard agrees now"
    elif step.earliest is None:
        basis = "blocked; no time can be computed"
    else:
        basis = f"blocked; the last laggard can be gone at {instant(max(step.earliest, now))}"
    return PlanStep(
        verb=step.verb,
        title=title,
        edit=edit,
        earliest=step.earliest,
        basis=basis,
        ready=step.allowed,
        laggards=step.laggards,
    )


def _promotion(new: str, old: str) -> tuple[str, ...]:
    return (
        f"anchors.{new}.role: {Role.INCOMING} -> {Role.ISSUING}",
        f"anchors.{old}.role: {Role.ISSUING} -> {Role.OUTGOING}",
    )


def _retire_after(promoted: datetime | None, old: str, hold_down: timedelta) -> PlanStep:
    return PlanStep(
        verb="retire",
        title=f"Remove {old}",
        edit=(f"remove anchors.{old}",),
        earliest=promoted + hold_down if promoted else None,
        basis=f"every leaf reissued, and in place for the hold-down {format_duration(hold_down)}",
        ready=False,
    )
