"""A review laid out as one page: the answer first, the diff of resources last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mtls_pki.engine.findings import REMEDY, PolicyFinding
from mtls_pki.pages.document import (
    Block,
    Bullets,
    Code,
    Document,
    Folded,
    Heading,
    Item,
    Line,
    Paragraph,
    Part,
    Strong,
    Table,
    with_code,
)
from mtls_pki.pages.markers import review_marker
from mtls_pki.review.advice import MEANING, NOT_ALLOWED, OTHER_KEY, next_steps, undo
from mtls_pki.review.answer import answer
from mtls_pki.review.diff import diff_lines
from mtls_pki.review.kinds import Fate, fate, once
from mtls_pki.review.places import leaf_lines, place_rows
from mtls_pki.review.resources import dangers, left_behind, others
from mtls_pki.review.review import Review
from mtls_pki.review.scene import picture
from mtls_pki.review.stages import StageChange
from mtls_pki.review.trust import TrustChange
from mtls_pki.review.verdict import Outcome, Said
from mtls_pki.rotation.guard_report import Reason
from mtls_pki.rotation.report import earliest_words
from mtls_pki.rotation.text import NAMED, named
from mtls_pki.rotation.transitions import Change
from mtls_pki.rotation.transitions import Step as TrustStep

_DIGITS = 16
# Clusters are in different stages only while an update is not finished.
_STAGES = 3


def review_page(review: Review) -> Document:
    """Return the page of a review; the same review gives the same page."""
    blocks: list[Block] = [
        Heading(level=2, line=Line("Trust review of ", Code(text=review.stack))),
        Paragraph(line=_origin(review)),
        answer(review),
        *_listed("Why it is refused", map(_reason, review.said.reasons), room=14_000),
        *_listed("Why the preview failed", map(_said, review.said.errors), room=6_000),
        *_listed("What the policy pack finds", map(_finding, review.findings), room=8_000),
        *_listed("Warnings", map(_said, review.said.warnings), room=8_000),
        *_listed("Look twice", dangers(review.preview.steps), room=3_000),
        *_listed("Left behind", _left_behind(review), room=3_000),
        *_trust(review),
        *_listed("What comes next", map(_item, _next(review)), room=2_000),
        *_listed("What can be undone, and how", map(_item, _undone(review)), room=4_000),
        *_listed("Besides trust", others(review.preview.steps), room=4_000),
    ]
    lines = diff_lines(review.preview)
    if lines:
        blocks.append(Folded(summary="The diff of resources", lines=lines))
    return Document(
        marker=review_marker(review.stack),
        title=f"Trust review of {review.stack}",
        blocks=tuple(blocks),
    )


def _origin(review: Review) -> Line:
    line: list[Part] = []
    if review.commit is not None:
        line += ["Commit ", Code(text=review.commit), ". "]
    domain = review.preview.config.get("trustDomain")
    if isinstance(domain, str):
        line += ["Trust domain ", Code(text=domain), ". "]
    counts = Counter(map(fate, once(review.preview.steps)))
    changed = [f"{counts[each]} {each}" for each in Fate if each is not Fate.SAME and counts[each]]
    line.append(f"Resources: {', '.join(changed) or 'none changes'}.")
    return Line(*line)


def _reason(reason: Reason) -> Item:
    below = [Line(fact) for fact in reason.seen[:NAMED]]
    below += [Line("waits for ", laggard) for laggard in reason.laggards]
    below.append(Line(Strong(text="Do:"), " ", *with_code(reason.remedy)))
    earliest = earliest_words(reason.earliest, by_evidence=reason.by_evidence)
    below.append(Line(Strong(text="Earliest:"), f" {earliest}"))
    return Item(
        line=Line(Strong(text=reason.sentence), " ", Code(text=reason.rule)),
        below=tuple(below),
    )


def _finding(finding: PolicyFinding) -> Item:
    holds, *problems = finding.message.strip().splitlines() or [""]
    below: list[Line] = []
    for problem in filter(None, map(str.strip, problems[:NAMED])):
        said, _, remedy = problem.partition(REMEDY)
        below.append(Line(said))
        if remedy:
            below.append(Line(Strong(text="Do:"), " ", remedy))
    level, rule = Strong(text=finding.level), Code(text=finding.rule)
    return Item(line=Line(level, " ", rule, " ", holds), below=tuple(below))


def _said(said: Said) -> Item:
    below = [Line(line) for line in said.below[:NAMED]]
    if len(said.below) > NAMED:
        below.append(Line(f"and {len(said.below) - NAMED} more lines"))
    return Item(line=Line(said.head), below=tuple(below))


def _trust(review: Review) -> Iterator[Block]:
    trust = review.trust
    items = [Item(line=line) for line in (*leaf_lines(trust), *_keys(trust))]
    rows = place_rows(trust)
    if not (trust.stages or items or rows):
        return
    title = "What would change in trust" if review.stopped else "What changes in trust"
    unchanged = not (trust.moves or items or rows)
    yield Heading(level=3, line=Line("Trust, unchanged" if unchanged else title))
    for stage in trust.stages[:_STAGES]:
        if len(trust.stages) > 1:
            yield Paragraph(line=Line(Strong(text=f"In {''.join(named(stage.clusters))}:")))
        yield Table(head=_ANCHOR_HEAD, rows=tuple(_anchor_rows(stage)), room=4_000)
    left = [cluster for stage in trust.stages[_STAGES:] for cluster in stage.clusters]
    if left:
        yield Paragraph(line=Line("Other stages again are in ", "".join(named(left)), "."))
    # The engine stopped at the guard, so the rest of what would change is not in the preview.
    if review.cut_short:
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
            Line(Code(text=change.generation)),
            Line(change.old or "absent"),
            Line(change.new or "absent"),
            Line(Code(text=f"{fingerprint[:_DIGITS]}…") if fingerprint else "made by the update"),
            Line(_meaning(stage, change)),
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
            yield Line(word, *named(names))


def _left_behind(review: Review) -> Iterable[Item]:
    """What a preview that was cut short does not delete, the whole one may."""
    return () if review.cut_short else left_behind(review.preview.steps, review.said.undeclared)


def _next(review: Review) -> tuple[Line, ...]:
    if review.outcome is Outcome.REFUSED:
        return (Line("Do what the refusal says, then preview again."),)
    if review.said.outcome is Outcome.FAILED:
        return (Line("Mend what the errors say, then preview again."),)
    if review.stopped:
        return (Line("Mend what the policy pack finds, then preview again."),)
    found = next_steps(review.trust)
    return (
        found
        if found or not review.trust.moves
        else (Line("Nothing more: no rotation is under way."),)
    )


def _undone(review: Review) -> tuple[Line, ...]:
    """Nothing is applied of what was refused or failed, so nothing is to be undone."""
    return () if review.stopped else undo(review.trust)


def _listed(title: str, items: Iterable[Item], *, room: int) -> tuple[Block, ...]:
    listed = tuple(items)
    if not listed:
        return ()
    return Heading(level=3, line=Line(title)), Bullets(items=listed, room=room)


def _item(line: Line) -> Item:
    return Item(line=line)
