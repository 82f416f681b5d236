"""Names and places."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.paths import Paths, chosen, default_names, existing


@pytest.mark.parametrize("name", ["dev", "a", "prod-eu", "x" * 40])
def test_good_names(tmp_path: Path, name: str) -> None:
    assert Paths(root=tmp_path, name=name).directory == tmp_path / name


@pytest.mark.parametrize("name", ["", "Dev", "-a", "a-", "a/b", "..", "a_b", "x" * 41])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="cannot be the name of a control plane"):
        Paths(root=tmp_path, name=name)


def test_default_names() -> None:
    assert default_names(1) == ("dev",)
    assert default_names(3) == ("dev", "dev-2", "dev-3")
    with pytest.raises(LabError, match="1 or more"):
        default_names(0)


def test_only_started_control_planes_exist(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state").touch()
    (tmp_path / "pulumi-state").mkdir()

    assert existing(tmp_path) == ("a", "b")
    assert [place.name for place in chosen(tmp_path, [])] == ["a", "b"]
    assert [place.name for place in chosen(tmp_path, ["b"])] == ["b"]
    with pytest.raises(LabError, match=r"no control plane 'c' .*there are a, b"):
        chosen(tmp_path, ["c"])


def test_the_lock_outlives_the_data(tmp_path: Path) -> None:
    place = Paths(root=tmp_path, name="dev")
    assert place.directory not in place.lock.parents
