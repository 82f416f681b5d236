"""Every line of the pages that calls ``pulumi`` or ``mtls-pki`` is run by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.documented import (
    ELSEWHERE,
    PAGES,
    ROOT,
    elsewhere,
    is_steady,
    lines_of,
    rotation_lines,
    steady_lines,
)

LINES = [
    pytest.param(line, id=f"{page.relative_to(ROOT)}: {line}")
    for page in PAGES
    for line in lines_of(page)
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_has_one_place_where_it_is_run(line: str) -> None:
    here = is_steady(line) or line in rotation_lines()
    assert here or elsewhere(line), f"{line}: add it to tests/integration/documented.py"


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_test_that_runs_a_line_exists(test: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / Path(file)).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.M)


def test_no_pattern_is_left_from_a_line_that_is_gone() -> None:
    lines = [line for page in PAGES for line in lines_of(page)]
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, line) for line in lines), pattern


def test_a_line_that_nothing_runs_is_found() -> None:
    """The negative control of the first test."""
    assert not is_steady("mtls-pki unheard-of")
    assert not elsewhere("mtls-pki unheard-of")


def test_the_rotation_is_whole() -> None:
    assert rotation_lines()[0] == "mtls-pki add g2"
    assert rotation_lines().count("pulumi up") == 3
    assert len(steady_lines()) > 20
