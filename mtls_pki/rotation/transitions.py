"""The table of allowed transitions of one anchor, and the rules about a whole change of stage."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mtls_pki.rotation import rules
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Refusal, Rule
from mtls_pki.rotation.stage import TrustStage


class Step(enum.StrEnum):
    """What a change of stage does to one anchor."""

    KEEP = "keep"
    BOOTSTRAP = "bootstrap"
    ADD = "add"
    RESTORE = "restore"
    PROMOTE = "promote"
    DEMOTE = "demote"
    REINSTATE = "reinstate"
    WITHDRAW = "withdraw"
    ABANDON = "abandon"
    RETIRE = "retire"
    DISTRUST = "distrust"
    FORGET = "forget"


ABSENT = None
"""The role of an anchor that a stage does not know."""

TABLE: Mapping[tuple[Role | None, Role | None], Step] = MappingProxyType(
    {
        # Forward.
        (ABSENT, Role.INCOMING): Step.ADD,
        (Role.INCOMING, Role.ISSUING): Step.PROMOTE,
        (Role.ISSUING, Role.OUTGOING): Step.DEMOTE,
        (Role.OUTGOING, ABSENT): Step.RETIRE,
        # The way back: each is what reverting the commit of a forward step does.
        (Role.INCOMING, ABSENT): Step.ABANDON,
        (Role.ISSUING, Role.INCOMING): Step.WITHDRAW,
        (Role.OUTGOING, Role.ISSUING): Step.REINSTATE,
        (ABSENT, Role.OUTGOING): Step.RESTORE,
        # Distrust, from anywhere.
        (ABSENT, Role.COMPROMISED): Step.DISTRUST,
        (Role.INCOMING, Role.COMPROMISED): Step.DISTRUST,
        (Role.ISSUING, Role.COMPROMISED): Step.DISTRUST,
        (Role.OUTGOING, Role.COMPROMISED): Step.DISTRUST,
        (Role.COMPROMISED, ABSENT): Step.FORGET,
        # Nothing.
        (Role.INCOMING, Role.INCOMING): Step.KEEP,
        (Role.ISSUING, Role.ISSUING): Step.KEEP,
        (Role.OUTGOING, Role.OUTGOING): Step.KEEP,
        (Role.COMPROMISED, Role.COMPROMISED): Step.KEEP,
    }
)
"""Every allowed transition of one anchor of a running domain."""

_STAYS_COMPROMISED = (
    rules.STAYS_COMPROMISED,
    "leave it compromised, or remove it, and add a new generation with a new key",
)

REFUSED: Mapping[tuple[Role | None, Role | None], tuple[Rule, str]] = MappingProxyType(
    {
        (ABSENT, Role.ISSUING): (
            rules.ADDED_AND_ISSUING,
            "write role: incoming, apply, and make it issuing in a later update",
        ),
        (Role.ISSUING, ABSENT): (
            rules.SKIPPED_STEP,
            "make another anchor issuing and this one outgoing first",
        ),
        (Role.INCOMING, Role.OUTGOING): (
            rules.SKIPPED_STEP,
            "it never issued: to abandon it, remove it; to go on, make it issuing",
        ),
        (Role.OUTGOING, Role.INCOMING): (
            rules.SKIPPED_STEP,
            "it is trusted already: to go back, make it issuing; to go on, remove it",
        ),
        (Role.COMPROMISED, Role.INCOMING): _STAYS_COMPROMISED,
        (Role.COMPROMISED, Role.ISSUING): _STAYS_COMPROMISED,
        (Role.COMPROMISED, Role.OUTGOING): _STAYS_COMPROMISED,
    }
)
"""Every other transition of one anchor: the rule that it breaks, and what to write instead."""

UPDATES: tuple[tuple[Mapping[Step, tuple[int, int]], str], ...] = (
    ({Step.ADD: (1, 1)}, "add one anchor as incoming"),
    ({Step.PROMOTE: (1, 1), Step.DEMOTE: (1, 1)}, "make the incoming anchor issuing"),
    ({Step.REINSTATE: (1, 1), Step.WITHDRAW: (1, 1)}, "go back to the old anchor"),
    ({Step.REINSTATE: (1, 1), Step.DEMOTE: (1, 1)}, "go back, and let the new anchor go"),
    ({Step.RETIRE: (1, 99)}, "remove outgoing anchors"),
    ({Step.ABANDON: (1, 1)}, "abandon an incoming anchor"),
    ({Step.RESTORE: (1, 99)}, "take a removal back"),
    ({Step.DISTRUST: (1, 99)}, "distrust anchors that do not issue"),
    ({Step.DISTRUST: (1, 99), Step.PROMOTE: (1, 1)}, "distrust, and issue from the incoming one"),
    ({Step.DISTRUST: (1, 99), Step.REINSTATE: (1, 1)}, "distrust, and issue from the old one"),
)
"""The steps that one update may combine: how often each may occur (least, most), and its name.

``keep`` and ``forget`` accompany any of them: neither changes who is trusted or who issues.
"""

_FREE = frozenset({Step.KEEP, Step.FORGET})


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one generation; ``step`` is None when the table refuses the transition.

    ``fingerprint`` is that of the new stage, or of the old one for an anchor that goes.
    """

    generation: str
    old: Role | None
    new: Role | None
    step: Step | None
    fingerprint: str | None


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """What the configuration says about an anchor that it declares compromised."""

    fingerprint: str | None
    accept_outage: bool


def classify(old: TrustStage | None, new: TrustStage) -> tuple[Change, ...]:
    """Return what happens to every generation of either stage, in order of the new stage.

    ``old`` is None when the domain, or this cluster of it, has no recorded stage. Then any trusted
    role is a ``bootstrap``: adopting a domain that exists may bring outgoing anchors with it.
    """
    before = old.anchors if old else {}
    gone = tuple(generation for generation in before if generation not in new.anchors)
    changes = []
    for generation in (*new.anchors, *gone):
        anchor = new.anchors.get(generation) or before[generation]
        role_before = before[generation].role if generation in before else ABSENT
        role_after = new.role(generation)
        step = TABLE.get((role_before, role_after))
        if not before and role_after is not None and role_after.trusted:
            step = Step.BOOTSTRAP
        changes.append(
            Change(
                generation=generation,
                old=role_before,
                new=role_after,
                step=step,
                fingerprint=anchor.fingerprint,
            )
        )
    return tuple(changes)


def structural_refusals(
    old: TrustStage | None,
    new: TrustStage,
    *,
    acknowledgements: Mapping[str, Acknowledgement] = MappingProxyType({}),
) -> tuple[Refusal, ...]:
    """Return every rule that the change breaks by its shape alone, whatever the evidence says.

    ``acknowledgements`` maps a generation to what the configuration says of its compromise.
    """
    changes = classify(old, new)
    refusals = [
        *_stage_refusals(new),
        *_canary_refusals(old, new),
        *identity_refusals(old, new),
        *_transition_refusals(changes),
        *_acknowledgement_refusals(changes, acknowledgements),
    ]
    # Where one anchor already breaks the table, its combination with others adds no information.
    if all(change.step for change in changes):
        refusals += _update_refusals(changes)
    return tuple(refusals)


def next_stages(stage: TrustStage) -> tuple[tuple[str, TrustStage], ...]:
    """Return the forward steps of a rotation that ``stage`` allows: (verb, resulting stage).

    ``promote`` makes the incoming anchor issuing, ``retire`` removes the outgoing ones, ``forget``
    drops the entries of compromised ones. A canary named on a promoted anchor stays harmless; a
    canary on a removed anchor loses its override.
    """
    found: list[tuple[str, TrustStage]] = []
    incoming, outgoing = stage.in_role(Role.INCOMING), stage.in_role(Role.OUTGOING)
    if len(incoming) == 1 and stage.issuing:
        roles = {incoming[0]: Role.ISSUING, stage.issuing: Role.OUTGOING}
        found.append(("promote", _with_roles(stage, roles)))
    if outgoing and stage.issuing:
        found.append(("retire", _without(stage, outgoing)))
    if stage.in_role(Role.COMPROMISED) and stage.issuing:
        found.append(("forget", _without(stage, stage.in_role(Role.COMPROMISED))))
    return tuple(found)


def _with_roles(stage: TrustStage, roles: Mapping[str, Role]) -> TrustStage:
    anchors = {
        generation: type(anchor)(
            role=roles.get(generation, anchor.role), fingerprint=anchor.fingerprint
        )
        for generation, anchor in stage.anchors.items()
    }
    return TrustStage(anchors=anchors, canaries=stage.canaries)


def _without(stage: TrustStage, generations: tuple[str, ...]) -> TrustStage:
    return TrustStage(
        anchors={g: anchor for g, anchor in stage.anchors.items() if g not in generations},
        canaries={s: g for s, g in stage.canaries.items() if g not in generations},
    )


def _stage_refusals(new: TrustStage) -> list[Refusal]:
    refusals = []
    issuing = new.in_role(Role.ISSUING)
    if not new.trusted:
        refusals.append(
            Refusal(
                rule=rules.LAST_ANCHOR,
                seen=("the new stage trusts no anchor",),
                remedy="keep the issuing anchor; to replace it, add a new generation as incoming",
            )
        )
    elif len(issuing) != 1:
        named = f"{len(issuing)} anchors are issuing: {', '.join(issuing)}"
        refusals.append(
            Refusal(
                rule=rules.ONE_ISSUING,
                seen=(named if issuing else "no anchor is issuing",),
                remedy="give role: issuing to exactly one anchor",
            )
        )
    incoming, outgoing = new.in_role(Role.INCOMING), new.in_role(Role.OUTGOING)
    if len(incoming) > 1 or (incoming and outgoing):
        seen = [f"incoming: {', '.join(incoming)}"]
        if outgoing:
            seen.append(f"outgoing: {', '.join(outgoing)}")
        refusals.append(
            Refusal(
                rule=rules.ONE_ROTATION,
                seen=tuple(seen),
                remedy=f"remove {', '.join(outgoing)} before you add {', '.join(incoming)}"
                if outgoing
                else "keep one incoming anchor",
            )
        )
    owners: dict[str, list[str]] = {}
    for generation, anchor in new.anchors.items():
        if anchor.fingerprint is not None:
            owners.setdefault(anchor.fingerprint, []).append(generation)
    refusals += [
        Refusal(
            rule=rules.ONE_NAME_PER_KEY,
            fingerprint=fingerprint,
            seen=(f"{' and '.join(generations)} have the same key sha256:{fingerprint}",),
            remedy="give each generation a key of its own",
        )
        for fingerprint, generations in owners.items()
        if len(generations) > 1
    ]
    return refusals


def _canary_refusals(old: TrustStage | None, new: TrustStage) -> list[Refusal]:
    refusals = []
    for service, generation in new.canaries.items():
        role = new.role(generation)
        if role is None or not role.trusted:
            state = "no anchor of the stage" if role is None else "compromised"
            refusals.append(
                Refusal(
                    rule=rules.CANARY_ANCHOR,
                    generation=generation,
                    seen=(f"services.{service}.anchor: {generation} is {state}",),
                    remedy=f"remove services.{service}.anchor, or name one of "
                    f"{', '.join(new.trusted) or 'the trusted anchors'}",
                )
            )
    if old and old.anchors:
        refusals += [
            Refusal(
                rule=rules.ADDED_AND_ISSUING,
                generation=generation,
                fingerprint=new.anchors[generation].fingerprint,
                seen=(
                    f"{generation} is new, and services name it: "
                    + ", ".join(new.canaries_on(generation)),
                ),
                remedy="add the anchor alone, apply, and name it in a later update",
            )
            for generation in new.trusted
            if generation not in old.anchors
            and new.role(generation) is not Role.ISSUING
            and new.canaries_on(generation)
        ]
    return refusals


def identity_refusals(old: TrustStage | None, new: TrustStage) -> list[Refusal]:
    """Return a refusal for every generation whose key, or key whose generation, changed."""
    if old is None:
        return []
    refusals = []
    for generation, anchor in new.anchors.items():
        before = old.anchors.get(generation)
        if before is not None and before.fingerprint != anchor.fingerprint:
            now_is = f"sha256:{anchor.fingerprint}" if anchor.fingerprint else "a new one"
            refusals.append(
                Refusal(
                    rule=rules.SAME_NAME_OTHER_KEY,
                    generation=generation,
                    fingerprint=before.fingerprint,
                    seen=(
                        f"the key of {generation} was sha256:{before.fingerprint} "
                        f"and would be {now_is}",
                    ),
                    remedy=f"restore the key of {generation}, and add the new key under a name "
                    "that was never used",
                )
            )
        former = old.generation_of(anchor.fingerprint) if anchor.fingerprint else None
        if former is not None and former != generation:
            refusals.append(
                Refusal(
                    rule=rules.ONE_NAME_PER_KEY,
                    generation=generation,
                    fingerprint=anchor.fingerprint,
                    seen=(f"the key of {generation} is the one recorded for {former}",),
                    remedy=f"keep the name {former} for this key",
                )
            )
    return refusals


def _transition_refusals(changes: tuple[Change, ...]) -> list[Refusal]:
    refusals = []
    for change in changes:
        if change.step is not None:
            continue
        rule, remedy = REFUSED[(change.old, change.new)]
        refusals.append(
            Refusal(
                rule=rule,
                generation=change.generation,
                fingerprint=change.fingerprint,
                seen=(
                    f"anchors.{change.generation}.role goes from {_word(change.old)} "
                    f"to {_word(change.new)}",
                ),
                remedy=remedy,
            )
        )
    return refusals


def _acknowledgement_refusals(
    changes: tuple[Change, ...], acknowledgements: Mapping[str, Acknowledgement]
) -> list[Refusal]:
    refusals = []
    for change in changes:
        if change.step is not Step.DISTRUST:
            continue
        given = acknowledgements.get(change.generation)
        named = given is not None and given.fingerprint == change.fingerprint
        if given and given.accept_outage and named and change.fingerprint is not None:
            continue
        seen = "it is not acknowledged"
        if given is not None and not named:
            seen = f"the fingerprint given is {given.fingerprint}"
        elif given is not None:
            seen = "acceptOutage is not true"
        refusals.append(
            Refusal(
                rule=rules.ACKNOWLEDGED,
                generation=change.generation,
                fingerprint=change.fingerprint,
                seen=(f"{change.generation} is sha256:{change.fingerprint}; {seen}",),
                remedy=f"write under anchors.{change.generation}: "
                f"fingerprint: {change.fingerprint}, acceptOutage: true",
            )
        )
    return refusals


def _update_refusals(changes: tuple[Change, ...]) -> list[Refusal]:
    counts = Counter(change.step for change in changes if change.step not in _FREE)
    if not counts or Step.BOOTSTRAP in counts:
        return []
    for allowed, _ in UPDATES:
        fits = all(least <= counts[step] <= most for step, (least, most) in allowed.items())
        if fits and set(counts) <= set(allowed):
            return []
    steps = tuple(
        f"{change.generation}: {_word(change.old)} -> {_word(change.new)} ({change.step})"
        for change in changes
        if change.step not in _FREE
    )
    return [
        Refusal(
            rule=rules.ONE_STEP,
            seen=steps,
            remedy="make each of these an update of its own: add as incoming; then make it "
            "issuing and the former one outgoing; then remove the outgoing one",
        )
    ]


def _word(role: Role | None) -> str:
    return role.value if role else "absent"
