"""The tables that a run prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.authorities import AUTHORITIES
from bench.bucket import UP as BUCKET_UP
from bench.bucket import UPDATE as BUCKET_UPDATE
from bench.machine import Machine
from bench.measurement import Record
from bench.reading import CHECK, EXPORTER, STATUS
from bench.stack import (
    APPLY,
    BARE_PREVIEW,
    BASE,
    EMPTY_PREVIEW,
    PREVIEW,
    ROTATION,
    ROTATION_ADD,
    ROTATION_BOUND,
    ROTATION_PROMOTE,
    ROTATION_WAIT,
    UP,
    UPDATE,
    UPDATE_PREVIEW,
)

Figure = Callable[[Record, int], float | None]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its heading, and how its figure follows from the record."""

    heading: str
    figure: Figure
    form: str = "{:.1f} s"

    def text(self, record: Record, size: int) -> str:
        """Return the cell for ``size``; a dash where the figure was not measured."""
        value = self.figure(record, size)
        return "-" if value is None else self.form.format(value)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table: a row for each size at which one of ``subjects`` was measured."""

    title: str
    unit: str
    subjects: tuple[str, ...]
    columns: tuple[Column, ...]


def _seconds(subject: str) -> Figure:
    return lambda record, size: record.typical(subject, size)


def _ratio(subject: str, base: str) -> Figure:
    return lambda record, size: record.ratio(subject, base, size)


def _megabytes(subject: str, quantity: str = "peak_bytes") -> Figure:
    def figure(record: Record, size: int) -> float | None:
        value = record.typical(subject, size, quantity)
        return None if value is None else value / 1e6

    return figure


def _per_second(subject: str) -> Figure:
    def figure(record: Record, size: int) -> float | None:
        seconds = record.typical(subject, size)
        return size / seconds if seconds else None

    return figure


def _growth(subject: str) -> Figure:
    """How many times as long as at the size before; None for the first."""

    def figure(record: Record, size: int) -> float | None:
        smaller = [each for each in record.sizes(subject) if each < size]
        now = record.typical(subject, size)
        before = record.typical(subject, smaller[-1]) if smaller else None
        return now / before if now is not None and before is not None else None

    return figure


def _quantity(subject: str, quantity: str) -> Figure:
    return lambda record, size: record.typical(subject, size, quantity)


_TIMES = "{:.2f} x"
_RATE = "{:.1f}/s"
_MEGABYTES = "{:.1f} MB"
_WHOLE_MEGABYTES = "{:.0f} MB"

SHEETS: tuple[Sheet, ...] = (
    Sheet(
        title="Certificates, from declared to all Ready",
        unit="certificates",
        subjects=(UPDATE,),
        columns=(
            Column(heading="mtls-pki up", figure=_seconds(UPDATE)),
            Column(heading="apply", figure=_seconds(APPLY)),
            Column(heading="ratio", figure=_ratio(UPDATE, APPLY), form=_TIMES),
            Column(heading="growth", figure=_growth(UPDATE), form=_TIMES),
            Column(heading="its preview", figure=_seconds(UPDATE_PREVIEW)),
            Column(heading="pulumi up", figure=_seconds(UP)),
            Column(heading="up / apply", figure=_ratio(UP, APPLY), form=_TIMES),
            Column(heading="memory", figure=_megabytes(UPDATE), form=_WHOLE_MEGABYTES),
            Column(heading="state", figure=_megabytes(UPDATE, "state_bytes"), form=_MEGABYTES),
            Column(heading="rest, before", figure=_seconds(BASE)),
        ),
    ),
    *(
        Sheet(
            title=f"Processor seconds of {words}, by kind of process",
            unit="certificates",
            subjects=(subject,),
            columns=tuple(
                Column(heading=heading, figure=_quantity(subject, f"{kind}_cpu_seconds"))
                for kind, heading in (
                    ("engine", "engine"),
                    ("program", "program"),
                    ("providers", "providers"),
                    ("command", "mtls-pki"),
                    ("servers", "API server, etcd, cert-manager"),
                )
            ),
        )
        for subject, words in ((UPDATE, "mtls-pki up with its preview"), (UP, "pulumi up"))
    ),
    Sheet(
        title="Preview without a change",
        unit="certificates",
        subjects=(PREVIEW,),
        columns=(
            Column(heading="pulumi preview", figure=_seconds(PREVIEW)),
            Column(heading="of a bare program", figure=_seconds(BARE_PREVIEW)),
            Column(heading="ratio", figure=_ratio(PREVIEW, BARE_PREVIEW), form=_TIMES),
            Column(heading="of an empty program", figure=_seconds(EMPTY_PREVIEW)),
            Column(heading="CPU of the program", figure=_quantity(PREVIEW, "program_cpu_seconds")),
            Column(
                heading="of the bare one", figure=_quantity(BARE_PREVIEW, "program_cpu_seconds")
            ),
            Column(heading="memory", figure=_megabytes(PREVIEW), form=_WHOLE_MEGABYTES),
        ),
    ),
    Sheet(
        title="Certificates with the state in a bucket, 30 ms away each way",
        unit="certificates",
        subjects=(BUCKET_UPDATE,),
        columns=(
            Column(heading="mtls-pki up", figure=_seconds(BUCKET_UPDATE)),
            Column(heading="pulumi up", figure=_seconds(BUCKET_UP)),
            Column(heading="ratio", figure=_ratio(BUCKET_UP, BUCKET_UPDATE), form=_TIMES),
        ),
    ),
    Sheet(
        title="Rotation: add g2, hold-down, promote, until all leaves are under g2\n"
        "lower bound: hold-down, and as many fresh leaves by apply",
        unit="certificates",
        subjects=(ROTATION,),
        columns=(
            Column(heading="rotation", figure=_seconds(ROTATION)),
            Column(heading="lower bound", figure=_seconds(ROTATION_BOUND)),
            Column(heading="ratio", figure=_ratio(ROTATION, ROTATION_BOUND), form=_TIMES),
            Column(heading="up: add", figure=_seconds(ROTATION_ADD)),
            Column(heading="wait", figure=_seconds(ROTATION_WAIT)),
            Column(heading="up: promote", figure=_seconds(ROTATION_PROMOTE)),
        ),
    ),
    Sheet(
        title="Leaves a second through the issuers of each backend, by apply, until all are Ready",
        unit="certificates",
        subjects=tuple(each.apply for each in AUTHORITIES),
        columns=tuple(
            Column(heading=each.title, figure=_per_second(each.apply), form=_RATE)
            for each in AUTHORITIES
        ),
    ),
    Sheet(
        title="The same by pulumi up",
        unit="certificates",
        subjects=tuple(each.up for each in AUTHORITIES),
        columns=tuple(Column(heading=each.title, figure=_seconds(each.up)) for each in AUTHORITIES),
    ),
    Sheet(
        title="Reading the evidence: mtls-pki",
        unit="leaves",
        subjects=(STATUS, CHECK, EXPORTER),
        columns=(
            Column(heading="status", figure=_seconds(STATUS)),
            Column(heading="growth", figure=_growth(STATUS), form=_TIMES),
            Column(heading="memory", figure=_megabytes(STATUS), form=_WHOLE_MEGABYTES),
            Column(heading="check", figure=_seconds(CHECK)),
            Column(heading="growth", figure=_growth(CHECK), form=_TIMES),
            Column(heading="memory", figure=_megabytes(CHECK), form=_WHOLE_MEGABYTES),
            Column(heading="exporter", figure=_seconds(EXPORTER)),
            Column(heading="growth", figure=_growth(EXPORTER), form=_TIMES),
            Column(heading="memory", figure=_megabytes(EXPORTER), form=_WHOLE_MEGABYTES),
        ),
    ),
)


def table(sheet: Sheet, record: Record) -> Table:
    """Return one sheet as a table."""
    repetitions = record.repetitions(*sheet.subjects)
    note = f"median of {repetitions}" if repetitions > 1 else "one repetition"
    made = Table(title=f"{sheet.title} ({note})", title_justify="left")
    made.add_column(sheet.unit, justify="right")
    for column in sheet.columns:
        made.add_column(column.heading, justify="right")
    for size in record.sizes(*sheet.subjects):
        made.add_row(f"{size:,}", *(column.text(record, size) for column in sheet.columns))
    return made


def show(console: Console, machine: Machine, record: Record, *, apply_method: str) -> None:
    """Print the machine and every table that has a row."""
    console.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB, "
        f"{machine.system}; load {machine.load:.2f} at the start",
        soft_wrap=True,
    )
    console.print(", ".join(f"{k} {v}" for k, v in machine.versions.items()), soft_wrap=True)
    console.print(f"apply: {apply_method}", soft_wrap=True)
    for sheet in SHEETS:
        if record.sizes(*sheet.subjects):
            console.print(table(sheet, record))
