"""State and private files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.files import write_private
from lab.state import State, load, save


def test_private_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    before = os.umask(0)
    try:
        write_private(path, "secret")
    finally:
        os.umask(before)

    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_state_comes_back(tmp_path: Path) -> None:
    state = State(ports={"etcd": 1234, "kube-apiserver": 4321}, addons=("trust-manager",))
    save(tmp_path / "state", state)

    assert load(tmp_path / "state") == state


def test_without_a_file_the_state_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path / "state") == State()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"ports": {}}', '{"ports": {"a": "x"}, "addons": []}']
)
def test_a_damaged_state_is_named_with_the_way_out(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dev" / "state"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(LabError, match=r"is damaged.*remove .*dev and run"):
        load(path)
