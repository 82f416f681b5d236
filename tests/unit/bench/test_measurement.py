"""What is recorded, and the figures that follow."""

from __future__ import annotations

from bench.measurement import Record, as_json


def record() -> Record:
    made = Record()
    made.add("up", 50, seconds=4.0, peak_bytes=1e6)
    made.add("up", 50, seconds=8.0, peak_bytes=3e6)
    made.add("up", 50, seconds=5.0)
    made.add("apply", 50, seconds=2.0)
    made.add("up", 250, seconds=20.0)
    return made


def test_the_median_counts() -> None:
    assert record().typical("up", 50) == 5.0
    assert record().typical("up", 50, "peak_bytes") == 2e6


def test_what_was_not_measured_has_no_figure() -> None:
    assert record().typical("preview", 50) is None
    assert record().typical("up", 1000) is None
    assert record().ratio("up", "apply", 250) is None


def test_ratio_of_medians() -> None:
    assert record().ratio("up", "apply", 50) == 2.5


def test_sizes_ascend_and_hold_each_once() -> None:
    assert record().sizes("up", "apply") == (50, 250)
    assert record().sizes("apply") == (50,)
    assert record().repetitions("up", "apply") == 3


def test_json_has_all_values_and_the_median() -> None:
    first, *_ = as_json(record().measurements)
    assert first == {
        "subject": "up",
        "size": 50,
        "quantity": "seconds",
        "median": 5.0,
        "values": [4.0, 8.0, 5.0],
    }
