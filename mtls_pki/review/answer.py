"""The verdict of a review in a sentence, and what it rests on in another."""

from __future__ import annotations

from collections.abc import Iterable

from mtls_pki.engine.digest import mapping
from mtls_pki.pages.document import Callout, Line, Strong, Tone
from mtls_pki.review.resources import dangers
from mtls_pki.review.review import Review
from mtls_pki.review.trust import TrustChange
from mtls_pki.review.verdict import Outcome
from mtls_pki.rotation.guard_report import Reason
from mtls_pki.rotation.report import changes_line
from mtls_pki.rotation.text import instant, named


def answer(review: Review) -> Callout:
    """Return the callout that a page begins with."""
    said, trust = review.said, review.trust
    lines = dict.fromkeys(changes_line(stage.changes) for stage in trust.stages)
    changed = "; ".join(filter(None, lines))
    if said.outcome is Outcome.REFUSED:
        return Callout(
            tone=Tone.STOP,
            lines=(
                Line(Strong(text="Refused."), " ", *_sentence(changed)),
                Line("Nothing is applied as long as the guard refuses. ", _earliest(said.reasons)),
            ),
        )
    forbidden = sum(finding.mandatory for finding in review.findings)
    if forbidden and said.outcome is not Outcome.FAILED:
        rules = "one mandatory rule" if forbidden == 1 else f"{forbidden} mandatory rules"
        return Callout(
            tone=Tone.STOP,
            lines=(
                Line(Strong(text="The policy pack forbids it."), " ", *_sentence(changed)),
                Line(f"Nothing is applied as long as it breaks {rules}, whatever the guard says."),
            ),
        )
    if said.outcome is Outcome.FAILED:
        return Callout(
            tone=Tone.STOP,
            lines=(
                Line(Strong(text="The preview failed,"), " and not because the guard refused."),
                Line("Nothing can be applied; what follows may be incomplete."),
            ),
        )
    if said.outcome is Outcome.UNSEEN:
        return _unseen(review, changed)
    return _agreed(review, changed)


def _unseen(review: Review, changed: str) -> Callout:
    said = review.said
    if said.unheard:
        unknown = Line(Strong(text="Not known to be safe:"), " ", said.unheard, ".")
        until = Line("What the guard makes of the change is not known; the update asks it again.")
    else:
        unread = "".join(named(said.unread))
        unknown = Line(Strong(text="Not known to be safe:"), " ", unread, " could not be read.")
        until = Line("Until every cluster can be read, the update refuses any change of trust.")
    return Callout(
        tone=Tone.WARNING,
        lines=(
            unknown,
            until,
            Line(Strong(text="Connections break."), " ", *_sentence(changed))
            if review.trust.distrusts
            else Line("Asked for: ", *(_sentence(changed) or ("no change of trust.",))),
        ),
    )


def _agreed(review: Review, changed: str) -> Callout:
    trust = review.trust
    tone, rests = Tone.SAFE, f"The guard judged {_seen(review)}; the update asks again."
    lines: list[Line] = []
    if review.said.up_refuses:
        tone = Tone.WARNING
        lines.append(Line(Strong(text="The update will refuse"), " as long as the warnings hold."))
    if trust.distrusts:
        tone, rests = Tone.WARNING, "Nothing is waited for; the warnings name who is hit."
        lines.append(Line(Strong(text="Connections break."), " ", *_sentence(changed)))
    elif changed:
        lines.append(Line(Strong(text="The guard agrees."), " ", *_sentence(changed)))
    elif trust.moves:
        lines.append(Line(Strong(text="The guard agrees."), " Services move to another anchor."))
    elif any(step.changes for step in review.preview.steps):
        lines.append(Line(Strong(text="No anchor changes its role."), " ", _reissued(trust)))
        rests = ""
    else:
        tone, rests = (Tone.NOTE if tone is Tone.SAFE else tone), ""
        lines.append(Line(Strong(text="Nothing changes.")))
    if trust.domains:
        tone = Tone.WARNING
        lines.append(
            Line(Strong(text="The trust domain changes."), " Authorisation must follow it.")
        )
    lost = len(list(dangers(review.preview.steps)))
    if lost:
        tone = Tone.WARNING
        named_below = "one resource is" if lost == 1 else f"{lost} resources are"
        lines.append(Line(Strong(text="Look twice:"), f" {named_below} named for it below."))
    if rests:
        lines.append(Line(rests))
    return Callout(tone=tone, lines=tuple(lines))


def _seen(review: Review) -> str:
    """What the guard went by: a change may also lower the hold-down that it is judged with."""
    hold_down = mapping(review.preview.config.get("trust")).get("holdDown")
    known = f", by a hold-down of {hold_down}" if isinstance(hold_down, str) else ""
    return f"what the clusters show now{known}"


def _reissued(trust: TrustChange) -> str:
    count = sum(leaf.reissued for leaf in trust.leaves)
    if count == 1:
        return "1 Certificate is reissued."
    return f"{count or 'No'} Certificate{'s are' if count else ' is'} reissued."


def _sentence(changed: str) -> tuple[str, ...]:
    return (changed, ".") if changed else ()


def _earliest(reasons: Iterable[Reason]) -> str:
    listed = list(reasons)
    times = [reason.earliest for reason in listed if reason.earliest is not None]
    if times and len(times) == len(listed):
        return f"It can succeed from {instant(max(times))} on."
    helpless = any(reason.earliest is None and not reason.by_evidence for reason in listed)
    return "Waiting does not help." if helpless else "No time can be computed."
