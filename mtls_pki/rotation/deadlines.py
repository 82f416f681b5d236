"""The last safe time of each step of a rotation that is to be done by some day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.plan import Plan, PlanStep
from mtls_pki.rotation.request import ChangeRequest


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """One step of a plan.

    Attributes:
        step: what is to be done.
        latest: a later time can make the last step come too late.
        basis: why not later.
        late: no time is left for it.
    """

    step: PlanStep
    latest: datetime
    basis: str
    late: bool


def deadlines(plan: Plan, by: datetime) -> tuple[Deadline, ...]:
    """Return when each step must be applied so that the last one can be by ``by``, in order.

    Between two steps lies what the guards may wait for at worst: the hold-down before a new anchor
    may issue, and the longest lifetime of a leaf besides before the old one may leave, because of
    leaves that nothing shows.
    """
    request = plan.position.request
    found: list[Deadline] = []
    latest, basis = by, f"the day that was asked for, {by:%Y-%m-%d}"
    for step in reversed(plan.steps):
        found.append(
            Deadline(step=step, latest=latest, basis=basis, late=latest < _earliest(step, plan))
        )
        wait, why = _before(step, request)
        latest, basis = latest - wait, f"{why} before: {step.title}"
    return tuple(reversed(found))


def soonest(plan: Plan) -> datetime:
    """Return the first time by which the last step can be done for certain."""
    request = plan.position.request
    first, *others = plan.steps
    waits = (_before(step, request)[0] for step in others)
    return _earliest(first, plan) + sum(waits, timedelta(0))


def _earliest(step: PlanStep, plan: Plan) -> datetime:
    return max(step.earliest or plan.position.at, plan.position.at)


def _before(step: PlanStep, request: ChangeRequest) -> tuple[timedelta, str]:
    hold_down = request.hold_down
    if step.verb == "promote":
        return hold_down, f"the hold-down {format_duration(hold_down)}"
    if step.verb == "retire":
        lifetime = request.longest_lifetime
        return hold_down + lifetime, (
            f"the hold-down {format_duration(hold_down)} and the longest leaf "
            f"{format_duration(lifetime)}"
        )
    return timedelta(0), "nothing"
