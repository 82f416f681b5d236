"""What a benchmark records, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One quantity of one benchmark at one size.

    Attributes:
        subject: what was measured, such as ``up``; keys of the tables (``bench.tables``).
        size: how many certificates or leaves.
        quantity: ``seconds``, ``cpu_seconds`` or ``bytes``; the unit is its last word.
        values: one for each repetition, in order.
    """

    subject: str
    size: int
    quantity: str
    values: tuple[float, ...]

    @property
    def typical(self) -> float:
        """The median."""
        return median(self.values)


class Record:
    """All measurements of a run, in the order of their first values."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._values: dict[tuple[str, int, str], list[float]] = {}

    def add(self, subject: str, size: int, **quantities: float) -> None:
        """Record one repetition of each of ``quantities``."""
        for quantity, value in quantities.items():
            self._values.setdefault((subject, size, quantity), []).append(value)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Everything recorded so far."""
        return tuple(
            Measurement(subject=subject, size=size, quantity=quantity, values=tuple(values))
            for (subject, size, quantity), values in self._values.items()
        )

    def sizes(self, *subjects: str) -> tuple[int, ...]:
        """The sizes at which any of ``subjects`` was measured, ascending."""
        return tuple(sorted({size for subject, size, _ in self._values if subject in subjects}))

    def typical(self, subject: str, size: int, quantity: str = "seconds") -> float | None:
        """The median of a quantity, None where it was not measured."""
        values = self._values.get((subject, size, quantity))
        return median(values) if values else None

    def ratio(self, subject: str, base: str, size: int) -> float | None:
        """How many times as long as ``base`` took ``subject``; None where one is missing."""
        above, below = self.typical(subject, size), self.typical(base, size)
        return above / below if above is not None and below else None

    def repetitions(self, *subjects: str) -> int:
        """The largest number of values of any quantity of ``subjects``."""
        counts = [len(v) for (subject, _, _), v in self._values.items() if subject in subjects]
        return max(counts, default=0)


def as_json(measurements: Iterable[Measurement]) -> list[Mapping[str, Any]]:
    """Return the measurements as JSON values, medians included."""
    return [
        {
            "subject": each.subject,
            "size": each.size,
            "quantity": each.quantity,
            "median": each.typical,
            "values": list(each.values),
        }
        for each in measurements
    ]
