"""A drill as one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.drill_fleet import Break
from mtls_pki.pages.document import (
    Block,
    Bullets,
    Callout,
    Code,
    Document,
    Heading,
    Item,
    Line,
    Paragraph,
    Strong,
    Table,
    Tone,
    with_code,
)

_HEAD = ("step", "pulumi up", "reached all pods", "next step safe", "handshakes", "failed")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the drill.

    Attributes:
        step: the command of it.
        up_seconds: how long ``pulumi up`` took.
        arrived_seconds: from the end of ``up`` until every pod had what changed; None: not all.
        ready_seconds: from the end of ``up`` until the guards allowed the next step; None: they
            did not, or there is none.
        waits_for: who kept it, where it did not come.
        handshakes: how many there were.
        broken: those that failed.
    """

    step: str
    up_seconds: float
    arrived_seconds: float | None
    ready_seconds: float | None
    waits_for: tuple[str, ...]
    handshakes: int
    broken: Counter[Break]


@dataclass(frozen=True, kw_only=True)
class Stale:
    """A workload that reads its files only when it starts.

    Attributes:
        started: before which step.
        broke_after: after which step it failed first; None: it did not.
        reasons: what went wrong then, and for how many.
    """

    started: str
    broke_after: str | None
    reasons: Counter[str]


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What happened.

    Attributes:
        trust_domain: of the stack.
        services: how many pods took part.
        clusters: their names.
        stages: in their order; the first is before the rotation.
        finished: whether the old anchor is gone.
        times: what was made shorter: what it is called, in the drill, in the stack.
        left_out: what was not rehearsed.
        stale: workloads that read their files only when they start.
    """

    trust_domain: str
    services: int
    clusters: Sequence[str]
    stages: Sequence[Stage]
    finished: bool
    times: Sequence[tuple[str, str, str]]
    left_out: Sequence[str]
    stale: Sequence[Stale]

    @property
    def good(self) -> bool:
        """Whether the rotation came to its end, was watched all the while, and nobody broke."""
        changes = self.stages[1:]
        watched = bool(changes) and all(stage.handshakes for stage in changes)
        return self.finished and watched and not any(stage.broken for stage in changes)


def drill_page(drill: Drill) -> Document:
    """Return the page of a drill."""
    title = f"Drill of {drill.trust_domain}"
    return Document(
        marker="",
        title=title,
        blocks=(
            Heading(level=1, line=Line(title)),
            _answer(drill),
            Heading(level=2, line=Line("Steps")),
            Table(head=_HEAD, rows=tuple(map(_row, drill.stages)), room=8_000),
            *_broken(drill),
            *_waiting(drill),
            *_stale(drill),
            Heading(level=2, line=Line("What was shorter than in the stack")),
            Table(
                head=("time", "drill", "stack"),
                rows=tuple(tuple(map(Line, row)) for row in drill.times),
            ),
            *_left_out(drill),
        ),
    )


def _answer(drill: Drill) -> Callout:
    made = sum(stage.handshakes for stage in drill.stages)
    who = f"{drill.services} pods in {', '.join(drill.clusters)}"
    if drill.good:
        return Callout(
            tone=Tone.SAFE,
            lines=(
                Line(f"The rotation came to its end: {made} handshakes of {who}, none failed."),
            ),
        )
    failed = sum(stage.broken.total() for stage in drill.stages)
    end = "came to its end" if drill.finished else "did not come to its end"
    lines = [Line(f"The rotation {end}: {failed} of {made} handshakes of {who} failed.")]
    for stage in drill.stages[1:]:
        if not stage.handshakes:
            lines.append(Line("Nobody shook hands after ", Code(text=stage.step), "."))
    return Callout(tone=Tone.STOP, lines=tuple(lines))


def _row(stage: Stage) -> tuple[Line, ...]:
    failed = str(stage.broken.total())
    return (
        Line(Code(text=stage.step)),
        Line(_seconds(stage.up_seconds)),
        Line(_seconds(stage.arrived_seconds)),
        Line(_seconds(stage.ready_seconds)),
        Line(str(stage.handshakes)),
        Line(Strong(text=failed)) if stage.broken else Line(failed),
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _broken(drill: Drill) -> Iterator[Block]:
    if not any(stage.broken for stage in drill.stages):
        return
    yield Heading(level=2, line=Line("Who broke, and why"))
    yield Bullets(
        items=tuple(
            Item(
                line=Line(
                    Strong(text=each.client), " to ", Strong(text=each.server),
                    f", {count} times after ", Code(text=stage.step), f": {each.reason}",
                )
            )
            for stage in drill.stages
            for each, count in stage.broken.most_common()
        ),
        room=10_000,
    )  # fmt: skip


def _waiting(drill: Drill) -> Iterator[Block]:
    stuck = [stage for stage in drill.stages if stage.waits_for]
    if not stuck:
        return
    yield Heading(level=2, line=Line("Who kept the next step from being safe"))
    yield Bullets(
        items=tuple(
            Item(
                line=Line("after ", Code(text=stage.step)),
                below=tuple(Line(*with_code(each)) for each in stage.waits_for),
            )
            for stage in stuck
        ),
        room=10_000,
    )


def _stale(drill: Drill) -> Iterator[Block]:
    yield Heading(level=2, line=Line("Who would break: workloads that read their files once"))
    yield Paragraph(
        line=Line(
            "The pods above read their files for every handshake. One that reads them only when it "
            "starts, or mounts a Secret by subPath, must be restarted before it breaks:"
        )
    )
    yield Table(
        head=("started before", "breaks after", "why"),
        rows=tuple(
            (
                Line(Code(text=each.started)),
                Line(Code(text=each.broke_after)) if each.broke_after else Line("-"),
                Line("; ".join(f"{reason} ({count})" for reason, count in each.reasons.items())),
            )
            for each in drill.stale
        ),
    )


def _left_out(drill: Drill) -> Iterator[Block]:
    if drill.left_out:
        yield Heading(level=2, line=Line("What was not rehearsed"))
        yield Bullets(
            items=tuple(Item(line=Line(*with_code(each))) for each in drill.left_out), room=5_000
        )
