"""The position of a trust domain as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mtls_pki.clusters.observed_domain import ObservedDomain
from mtls_pki.rotation.durations import humanise_duration
from mtls_pki.rotation.evidence import BundleObservation, IssuerObservation
from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.position import (
    PHASE_MEANING,
    AnchorPosition,
    ClusterPosition,
    Phase,
    Position,
)
from mtls_pki.rotation.report import laggard_lines, notice_message, when
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.text import NAMED, printable

# From this width on there is room for a whole fingerprint.
WIDE = 150
_SHOWN_DIGITS = 12
_STYLES = {
    Role.INCOMING: "cyan",
    Role.ISSUING: "green",
    Role.OUTGOING: "yellow",
    Role.COMPROMISED: "bold red",
}
_STRANGER = "magenta"
_NOT_WELL = "red"


def status_view(domain: ObservedDomain, plan: Plan, *, file: str, width: int) -> RenderableType:
    """Return everything a person asks of a domain: anchors, clusters, warnings, what comes next.

    Texts from the clusters are never read as rich markup, and lose their control characters.

    Args:
        file: name of the stack file, for what is not applied yet.
        width: of the terminal, in columns.
    """
    position = plan.position
    head = Text.assemble((position.request.trust_domain, "bold"), f": {_phase(domain, position)}")
    return Group(
        head,
        "",
        _anchors(position, wide=width >= WIDE),
        "",
        _clusters(position),
        "",
        *(
            Text(f"warning: {notice_message(notice)}", style="yellow")
            for notice in position.notices
        ),
        *_undeclared(domain),
        *_next(domain, plan, file),
    )


def _phase(domain: ObservedDomain, position: Position) -> str:
    if domain.recorded:
        return f"{position.phase}, {PHASE_MEANING[position.phase]}"
    if domain.evidence.unreachable:
        return "unknown, no cluster that could be read records a stage"
    return "not applied yet, no cluster records a stage"


def _anchors(position: Position, *, wide: bool) -> Table:
    table = _table("anchor", "role", "sha256", "ends", "bundles", "held for")
    table.add_column("leaves", justify="right")
    for anchor in position.anchors:
        style = _STYLES[anchor.role] if anchor.role else _STRANGER
        table.add_row(
            Text(anchor.generation or "(foreign)", style=style),
            Text(anchor.role or "none of ours", style=style),
            _fingerprint(anchor.fingerprint, wide=wide),
            f"{anchor.not_after:%Y-%m-%d}" if anchor.not_after else "-",
            _of(anchor.bundles, anchor.of_bundles),
            _held(anchor, position.at),
            str(anchor.leaves),
        )
    return table


def _clusters(position: Position) -> Table:
    table = _table("cluster", "bundles", "issuers", "leaves", "first ends")
    for cluster in position.clusters:
        if cluster.error is not None:
            message = Text(f"not read: {printable(cluster.error)}", style=_NOT_WELL)
            table.add_row(Text(cluster.cluster), message, "?", "?", "?")
            continue
        table.add_row(
            Text(cluster.cluster),
            _bundles(position, cluster.bundles),
            _issuers(cluster.issuers),
            _leaves(position, cluster),
            f"in {humanise_duration(cluster.first_end - position.at)}"
            if cluster.first_end
            else "-",
        )
    return table


def _bundles(position: Position, bundles: tuple[BundleObservation, ...]) -> Text:
    """Count bundles of equal content: a domain has few kinds and many places."""
    groups = Counter((bundle.anchors, bundle.problem) for bundle in bundles)
    lines = []
    for (held, problem), count in sorted(groups.items(), key=lambda each: -each[1]):
        names = ", ".join(sorted(position.name(fingerprint) for fingerprint in held))
        if problem is not None:
            lines.append(Text(f"{count} {problem}", style=_NOT_WELL))
        else:
            verb = "holds" if count == 1 else "hold"
            lines.append(Text(f"{count} {verb} {names or 'no root'}"))
    return _lines(lines)


def _issuers(issuers: tuple[IssuerObservation, ...]) -> Text:
    """Name each issuer once, whether it stands in one namespace or in a hundred."""
    names = sorted({(issuer.generation or "", issuer.name) for issuer in issuers})
    lines = []
    for generation, name in names:
        same = [issuer for issuer in issuers if issuer.name == name]
        ready = sum(issuer.ready for issuer in same)
        state = "ready" if ready == len(same) == 1 else f"{ready} of {len(same)} ready"
        if len(same) == 1 and not ready:
            state = f"not ready: {printable(same[0].reason)}"
        style = "" if ready == len(same) else _NOT_WELL
        lines.append(Text(f"{name} ({generation}) {state}", style=style))
    return _lines(lines)


def _leaves(position: Position, cluster: ClusterPosition) -> Text:
    lines = [Text(f"{count} of {position.name(key)}") for key, count in cluster.leaves]
    for count, what in (
        (cluster.unknown_leaves, "of unknown signer"),
        (cluster.foreign_leaves, "of no anchor"),
        (cluster.overdue_leaves, "overdue"),
    ):
        if count:
            lines.append(Text(f"{count} {what}", style="yellow"))
    return _lines(lines)


def _next(domain: ObservedDomain, plan: Plan, file: str) -> list[Text]:
    """Say what can be done next: apply what was written, make the next change, or nothing."""
    if not domain.recorded:
        if domain.evidence.unreachable:
            return [Text("next: make the clusters reachable; nothing is known of the domain")]
        return [Text("next: `pulumi up`")]
    if domain.pending:
        return [
            Text(f"not applied yet: {file} asks for {domain.pending}"),
            Text("next: `mtls-pki check` says whether `pulumi up` may apply it"),
        ]
    lines = []
    for step in plan.position.steps:
        style = "green" if step.allowed else "yellow"
        names = ", ".join(step.generations)
        verb = "retire" if step.verb == "forget" else step.verb
        lines.append(Text(f"next: {step.verb} {names}: {when(step)}", style=style))
        if step.laggards:
            lines.append(Text(f"  waits for {len(step.laggards)}:"))
        lines += [Text(f"    {line}") for line in laggard_lines(step.laggards)]
        if step.allowed:
            lines.append(Text(f"  `mtls-pki {verb}` writes it into {file}"))
    if plan.position.phase is Phase.STEADY and plan.steps:
        first = plan.steps[0]
        if plan.position.notices or domain.evidence.undeclared:
            lines.append(Text("next: see to the warnings; no rotation is under way"))
        else:
            lines.append(Text("next: nothing needs to be done"))
        lines.append(
            Text(f"  {first.title}: {when(first)}; `mtls-pki plan` shows a whole rotation")
        )
    return lines


def _undeclared(domain: ObservedDomain) -> list[Text]:
    found = domain.evidence.undeclared
    if not found:
        return []
    lines = [
        f"of this stack, and not in its stack file: {len(found)}",
        *(f"  {printable(each.entry)}" for each in found[:NAMED]),
    ]
    if len(found) > NAMED:
        lines.append(f"  and {len(found) - NAMED} more")
    lines.append("  `pulumi up` deletes what the state knows, `mtls-pki prune` what is left")
    return [Text(line, style="yellow") for line in lines]


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _lines(lines: list[Text]) -> Text:
    return Text("\n").join(lines) if lines else Text("none")


def _of(part: int, whole: int) -> Text:
    text = f"{part} of {whole}"
    return Text(text, style="" if part == whole else "yellow")


def _held(anchor: AnchorPosition, at: datetime) -> str:
    return humanise_duration(at - anchor.since) if anchor.since else "-"


def _fingerprint(fingerprint: str | None, *, wide: bool) -> Text:
    if fingerprint is None:
        return Text("no key yet", style="dim")
    return Text(fingerprint if wide else f"{fingerprint[:_SHOWN_DIGITS]}…")
