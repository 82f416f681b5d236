"""Durations: Go's language, and what it is not."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.durations import (
    DurationError,
    format_duration,
    humanise_duration,
    parse_duration,
)

LONGEST = (2**63 - 1) // 10**9
CANONICAL = re.compile(r"(?:[1-9]\d*h(?:[0-9]|[1-5]\d)m|(?:[1-9]|[1-5]\d)m)?(?:[0-9]|[1-5]\d)s")
seconds = st.integers(min_value=1, max_value=LONGEST)


@given(seconds)
def test_what_is_formatted_parses_to_the_same(count: int) -> None:
    duration = timedelta(seconds=count)
    assert parse_duration(format_duration(duration)) == duration


@given(seconds)
def test_the_format_is_gos_canonical_form(count: int) -> None:
    assert CANONICAL.fullmatch(format_duration(timedelta(seconds=count)))


@given(st.lists(st.tuples(st.integers(0, 10**5), st.sampled_from("hms")), min_size=1, max_size=5))
def test_terms_add_up_in_any_order(terms: list[tuple[int, str]]) -> None:
    size = {"h": 3600, "m": 60, "s": 1}
    total = sum(count * size[unit] for count, unit in terms)
    text = "".join(f"{count}{unit}" for count, unit in terms)
    if total == 0:
        with pytest.raises(DurationError):
            parse_duration(text)
    else:
        assert parse_duration(text) == timedelta(seconds=total)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_remedy(text: str) -> None:
    try:
        assert parse_duration(text) > timedelta(0)
    except DurationError as error:
        assert str(error).startswith("write ")  # noqa: PT017 either is right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("720h", 720 * 3600),
        ("8h30m", 8 * 3600 + 1800),
        ("90s", 90),
        ("1.5h", 5400),
        (".5h", 1800),
        ("1.h", 3600),
        ("2500ms", None),
        ("1000ms", 1),
        ("1000000µs", 1),
        ("1000000us", 1),
        ("1000000000ns", 1),
        ("0.1h", 360),
    ],
)
def test_gos_spellings(text: str, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(DurationError, match="write whole seconds"):
            parse_duration(text)
    else:
        assert parse_duration(text) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("30d", "write 720h"),
        ("2w", "write 336h"),
        ("10y", "write 87600h"),
        ("0s", "write a duration greater than zero"),
        ("0h0m", "write a duration greater than zero"),
        ("1ns", "write whole seconds"),
        (f"{LONGEST + 1}s", "write at most 2562047h"),
        ("9" * 400 + "h", "write at most 2562047h"),
        *(
            (text, "write a Go duration such as 720h, 8h30m or 90s")
            for text in ("", "720", "h", "1 h", " 1h", "1h ", "-1h", "1H", "1min", "٣h", "1d12h")
        ),
    ],
)
def test_other_texts_get_what_to_write(text: str, remedy: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert str(caught.value) == remedy


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=24), "24h0m0s"),
        (timedelta(hours=8760), "8760h0m0s"),
        (timedelta(minutes=5), "5m0s"),
        (timedelta(hours=8, minutes=30), "8h30m0s"),
        (timedelta(seconds=45), "45s"),
    ],
)
def test_format(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(seconds=45), "45 s"),
        (timedelta(hours=1, seconds=1), "1 h 1 s"),
        (timedelta(0), "0 s"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_durations_for_people(duration: timedelta, text: str) -> None:
    assert humanise_duration(duration) == text
