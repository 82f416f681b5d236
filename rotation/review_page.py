"""A review laid out as one page: the answer first, the diff of resources last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rotation.report import changes_line
from rotation.review import Review
from rotation.review_advice import MEANING, NOT_ALLOWED, OTHER_KEY, next_steps, undo
from rotation.review_diff import diff_lines
from rotation.review_digest import PROVIDER, Step
from rotation.review_document import (
    Block,
    Bullets,
    Callout,
    Code,
    Document,
    Folded,
    Heading,
    Item,
    Line,
    Paragraph,
    Strong,
    Table,
    Tone,
)
from rotation.review_places import leaf_lines, place_rows
from rotation.review_scene import picture
from rotation.review_text import one_line
from rotation.review_trust import (
    BUNDLE,
    GATE,
    Fate,
    StageChange,
    TrustChange,
    fate,
    is_trust,
    once,
)
from rotation.review_verdict import Outcome, Reason, Said
from rotation.transitions import Change
from rotation.transitions import Step as TrustStep

NAMED = 10
"""How many names a line lists before it only counts; as a refusal does with laggards."""

_DIGITS = 16
_NAMESPACE = "kubernetes:core/v1:Namespace"


def marker(stack: str) -> str:
    """Return the first line of a stack's page, by which its one comment is found again."""
    return f"<!-- mtls-pki review: {one_line(stack).replace('-->', '')} -->"


def review_page(review: Review) -> Document:
    """Return the page of a review; the same review gives the same page."""
    stack = one_line(review.stack)
    blocks: list[Block] = [
        Heading(level=2, line=("Trust review of ", Code(text=stack))),
        Paragraph(line=_origin(review)),
        _answer(review),
        *_listed("Why it is refused", map(_reason, review.said.reasons), room=14_000),
        *_listed("Why the preview failed", map(_said, review.said.errors), room=6_000),
        *_listed("Warnings", map(_said, review.said.warnings), room=8_000),
        *_listed("Look twice", _dangers(review.preview.steps), room=3_000),
        *_trust(review),
        *_listed("What comes next", map(_item, _next(review)), room=2_000),
        *_listed("What can be undone, and how", map(_item, _undone(review)), room=4_000),
        *_listed("Besides trust", _others(review.preview.steps), room=4_000),
    ]
    lines = diff_lines(review.preview)
    if lines:
        blocks.append(Folded(summary="The diff of resources", lines=lines))
    return Document(
        marker=marker(review.stack), title=f"Trust review of {stack}", blocks=tuple(blocks)
    )


def _origin(review: Review) -> Line:
    line: list[str | Code | Strong] = []
    if review.commit is not None:
        line += ["Commit ", Code(text=one_line(review.commit)), ". "]
    domain = review.preview.config.get("trustDomain")
    if isinstance(domain, str):
        line += ["Trust domain ", Code(text=one_line(domain)), ". "]
    counts = Counter(map(fate, once(review.preview.steps)))
    changed = [f"{counts[each]} {each}" for each in Fate if each is not Fate.SAME and counts[each]]
    line.append(f"Resources: {', '.join(changed) or 'none changes'}.")
    return tuple(line)


def _answer(review: Review) -> Callout:
    """The verdict in one sentence, and what it rests on in another."""
    said, trust = review.said, review.trust
    changed = "; ".join(filter(None, (changes_line(stage.changes) for stage in trust.stages)))
    if said.outcome is Outcome.REFUSED:
        return Callout(
            tone=Tone.STOP,
            lines=(
                (Strong(text="Refused."), " ", _sentence(changed)),
                ("Nothing is applied as long as the guard refuses. ", _earliest(said.reasons)),
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
        named = _names(said.unread)
        return Callout(
            tone=Tone.WARNING,
            lines=(
                (Strong(text="Not known to be safe:"), f" {named} could not be read."),
                ("Until every cluster can be read, the update refuses any change of trust.",),
                (Strong(text="Connections break."), f" {_sentence(changed)}")
                if _distrusts(trust)
                else (f"Asked for: {_sentence(changed) or 'no change of trust.'}",),
            ),
        )
    return _agreed(review, changed)


def _agreed(review: Review, changed: str) -> Callout:
    trust = review.trust
    tone, rests = Tone.SAFE, "The guard judged what the clusters show now; the update asks again."
    lines: list[Line] = []
    if review.said.will_refuse:
        tone = Tone.WARNING
        lines.append((Strong(text="The update will refuse"), " as long as the warnings hold."))
    if _distrusts(trust):
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
    if rests:
        lines.append((rests,))
    return Callout(tone=tone, lines=tuple(lines))


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


def _reason(reason: Reason) -> Item:
    below: list[Line] = [(one_line(fact),) for fact in reason.seen[:NAMED]]
    below += [("waits for ", one_line(laggard)) for laggard in reason.laggards]
    below += [(Strong(text="Do:"), f" {one_line(remedy)}") for remedy in reason.remedy]
    if reason.earliest:
        below.append((Strong(text="Earliest:"), f" {one_line(reason.earliest)}"))
    return Item(
        line=(Strong(text=one_line(reason.sentence)), " ", Code(text=reason.rule)),
        below=tuple(below),
    )


def _said(said: Said) -> Item:
    below = [(one_line(line),) for line in said.below[:NAMED]]
    if len(said.below) > NAMED:
        below.append((f"and {len(said.below) - NAMED} more lines",))
    return Item(line=(one_line(said.head),), below=tuple(below))


def _dangers(steps: Iterable[Step]) -> Iterator[Item]:
    """What deserves a second look although nothing need be wrong with the change of trust."""
    for step in once(steps):
        became = fate(step)
        lost = step.protected or bool({GATE, BUNDLE} & {*step.parents}) or step.kind == _NAMESPACE
        guarded = "is protected and " if step.protected else ""
        because = f", because of {', '.join(step.fields[:NAMED])}" if step.fields else ""
        if became is Fate.REPLACED:
            text = f"{guarded}would be replaced{because}"
        elif became is Fate.DELETED and lost:
            text = f"{guarded}would be deleted"
        elif became is Fate.UPDATED and step.kind.startswith(PROVIDER):
            text = f"reaches its cluster or service in another way{because}"
        else:
            continue
        yield Item(line=(Code(text=one_line(step.name)), f" ({_kind(step)}) {one_line(text)}"))


def _trust(review: Review) -> Iterator[Block]:
    trust = review.trust
    stopped = review.outcome in (Outcome.REFUSED, Outcome.FAILED)
    items = [Item(line=line) for line in (*leaf_lines(trust), *_keys(trust))]
    rows = place_rows(trust)
    if not (trust.stages or items or rows):
        return
    title = "What would change in trust" if stopped else "What changes in trust"
    unchanged = not (trust.moves or items or rows)
    yield Heading(level=3, line=("Trust, unchanged" if unchanged else title,))
    for stage in trust.stages:
        if len(trust.stages) > 1:
            yield Paragraph(line=(Strong(text=f"In {_names(stage.clusters)}:"),))
        yield Table(head=_ANCHOR_HEAD, rows=tuple(_anchor_rows(stage)), room=4_000)
    # The engine stopped at the guard, so the rest of what would change is not in the preview.
    if stopped:
        return
    drawn = picture(trust)
    if drawn is not None:
        yield drawn
    if items:
        yield Bullets(items=tuple(items), room=3_000)
    if rows:
        yield Table(
            head=("where", "trust bundle", "issuers", "Certificates"), rows=rows, room=6_000
        )


_ANCHOR_HEAD = ("anchor", "before", "after", "sha256 of its key", "which means")


def _anchor_rows(stage: StageChange) -> Iterator[tuple[Line, ...]]:
    for change in sorted(stage.changes, key=lambda each: each.step is TrustStep.KEEP):
        fingerprint = change.fingerprint
        yield (
            (Code(text=change.generation),),
            (change.old or "absent",),
            (change.new or "absent",),
            (Code(text=f"{fingerprint[:_DIGITS]}…"),) if fingerprint else ("made by the update",),
            (_meaning(stage, change),),
        )


def _meaning(stage: StageChange, change: Change) -> str:
    if change.step is None:
        return NOT_ALLOWED
    before = stage.old.anchors.get(change.generation) if stage.old else None
    if change.new and before and before.fingerprint != change.fingerprint:
        return OTHER_KEY
    return MEANING[change.step]


def _keys(trust: TrustChange) -> Iterator[Line]:
    words = {
        Fate.CREATED: "New private keys, encrypted in the state: ",
        Fate.DELETED: "Private keys that leave the state for good: ",
    }
    for became, word in words.items():
        names = [key.name for key in trust.keys if key.fate is became]
        if names:
            yield (word, _names(names))


def _next(review: Review) -> tuple[Line, ...]:
    if review.outcome is Outcome.REFUSED:
        return (("Do what the refusal says, then preview again.",),)
    if review.outcome is Outcome.FAILED:
        return (("Mend what the errors say, then preview again.",),)
    found = next_steps(review.trust)
    return (
        found
        if found or not review.trust.moves
        else (("Nothing more: no rotation is under way.",),)
    )


def _undone(review: Review) -> tuple[Line, ...]:
    """Nothing is applied of what was refused or failed, so nothing is to be undone."""
    stopped = review.outcome in (Outcome.REFUSED, Outcome.FAILED)
    return () if stopped else undo(review.trust)


def _distrusts(trust: TrustChange) -> bool:
    return any(change.step is TrustStep.DISTRUST for change in _changes(trust))


def _changes(trust: TrustChange) -> Iterator[Change]:
    return (change for stage in trust.stages for change in stage.changes)


def _others(steps: Iterable[Step]) -> Iterator[Item]:
    """Resources that are no part of trust, counted by kind and fate."""
    groups: dict[tuple[str, Fate], list[Step]] = {}
    for step in once(steps):
        if step.changes and not is_trust(step):
            groups.setdefault((_kind(step), fate(step)), []).append(step)
    for (kind, became), found in sorted(groups.items()):
        fields = sorted({name for step in found for name in step.fields})
        changed = f", in {_names(fields)}" if became is Fate.UPDATED and fields else ""
        names = _names(step.name for step in found)
        yield Item(line=(f"{kind}: {len(found)} {became} ({names}){changed}",))


def _kind(step: Step) -> str:
    """``Vault SecretBackendRole``, ``Kubernetes Namespace``."""
    if step.kind.startswith(PROVIDER):
        return one_line(f"provider {step.kind.removeprefix(PROVIDER)}")
    package, _, rest = step.kind.partition(":")
    return one_line(f"{_PACKAGES.get(package, package)} {rest.rpartition(':')[2]}")


_PACKAGES = {"kubernetes": "Kubernetes", "tls": "TLS", "vault": "Vault"}


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(one_line(name) for name in listed[:NAMED])
    return f"{shown} and {len(listed) - NAMED} more" if len(listed) > NAMED else shown


def _listed(title: str, items: Iterable[Item], *, room: int) -> tuple[Block, ...]:
    listed = tuple(items)
    if not listed:
        return ()
    return Heading(level=3, line=(title,)), Bullets(items=listed, room=room)


def _item(line: Line) -> Item:
    return Item(line=line)
