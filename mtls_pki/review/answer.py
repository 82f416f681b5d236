"""The verdict of a review in a sentence, and what it rests on in another."""

from __future__ import annotations

from collections.abc import Iterable

from mtls_pki.engine.digest import mapping
from mtls_pki.pages.document import Callout, Line, Strong, Tone
from mtls_pki.review.resources import dangers
from mtls_pki.review.review import Review
from mtls_pki.review.trust import TrustChange
from mtls_pki.review.verdict import Outcome, Reason
from mtls_pki.rotation.report import changes_line
from mtls_pki.rotation.text import named, one_line


def answer(review: Review) -> Callout:
    """Return the callout that a page begins with."""
    said, trust = review.said, review.trust
    lines = dict.fromkeys(changes_line(stage.changes) for stage in trust.stages)
    changed = one_line("; ".join(filter(None, lines)))
    if said.outcome is Outcome.REFUSED:
        return Callout(
            tone=Tone.STOP,
            lines=(
                (Strong(text="Refused."), " ", _sentence(changed)),
                ("Nothing is applied as long as the guard refuses. ", _earliest(said.reasons)),
            ),
        )
    forbidden = sum(finding.mandatory for finding in review.findings)
    if forbidden and said.outcome is not Outcome.FAILED:
        rules = "one mandatory rule" if forbidden == 1 else f"{forbidden} mandatory rules"
        return Callout(
            tone=Tone.STOP,
            lines=(
                (Strong(text="The policy pack forbids it."), " ", _sentence(changed)),
                (f"Nothing is applied as long as it breaks {rules}, whatever the guard says.",),
            ),
        )
    if said.outcome is Outcome.FAILED:
        return Callout(
            tone=Tone.STOP,
            lines=(
                (Strong(text="The preview failed,"), " ", "and not because the guard refused."),
                ("Nothing can be applied; what follows may be incomplete.",),
            ),
        )
    if said.outcome is Outcome.UNSEEN:
        unread = one_line(named(said.unread))
        return Callout(
            tone=Tone.WARNING,
            lines=(
                (Strong(text="Not known to be safe:"), f" {unread} could not be read."),
                ("Until every cluster can be read, the update refuses any change of trust.",),
                (Strong(text="Connections break."), f" {_sentence(changed)}")
                if trust.distrusts
                else (f"Asked for: {_sentence(changed) or 'no change of trust.'}",),
            ),
        )
    return _agreed(review, changed)


def _agreed(review: Review, changed: str) -> Callout:
    trust = review.trust
    tone, rests = Tone.SAFE, f"The guard judged {_seen(review)}; the update asks again."
    lines: list[Line] = []
    if review.said.will_refuse:
        tone = Tone.WARNING
        lines.append((Strong(text="The update will refuse"), " as long as the warnings hold."))
    if trust.distrusts:
        tone, rests = Tone.WARNING, "Nothing is waited for; the warnings name who is hit."
        lines.append((Strong(text="Connections break."), f" {_sentence(changed)}"))
    elif changed:
        lines.append((Strong(text="The guard agrees."), f" {_sentence(changed)}"))
    elif trust.moves:
        lines.append((Strong(text="The guard agrees."), " Services move to another anchor."))
    elif any(step.changes for step in review.preview.steps):
        lines.append((Strong(text="No anchor changes its role."), " ", *_reissued(trust)))
        rests = ""
    else:
        tone, rests = (Tone.NOTE if tone is Tone.SAFE else tone), ""
        lines.append((Strong(text="Nothing changes."),))
    if trust.domains:
        tone = Tone.WARNING
        lines.append((Strong(text="The trust domain changes."), " Authorisation must follow it."))
    lost = len(list(dangers(review.preview.steps)))
    if lost:
        tone = Tone.WARNING
        named_below = "one resource is" if lost == 1 else f"{lost} resources are"
        lines.append((Strong(text="Look twice:"), f" {named_below} named for it below."))
    if rests:
        lines.append((rests,))
    return Callout(tone=tone, lines=tuple(lines))


def _seen(review: Review) -> str:
    """What the guard went by: a change may also lower the hold-down that it is judged with."""
    hold_down = mapping(review.preview.config.get("trust")).get("holdDown")
    known = f", by a hold-down of {one_line(hold_down)}" if isinstance(hold_down, str) else ""
    return f"what the clusters show now{known}"


def _reissued(trust: TrustChange) -> Line:
    count = sum(leaf.reissued for leaf in trust.leaves)
    if count == 1:
        return ("1 Certificate is reissued.",)
    return (f"{count or 'No'} Certificate{'s are' if count else ' is'} reissued.",)


def _sentence(changed: str) -> str:
    return f"{changed}." if changed else ""


def _earliest(reasons: Iterable[Reason]) -> str:
    times = [reason.earliest for reason in reasons]
    if times and all(time[:2] == "20" for time in times):
        return f"It can succeed from {one_line(max(times))} on."
    helpless = any(time == "waiting does not help" for time in times)
    return "Waiting does not help." if helpless else "No time can be computed."
