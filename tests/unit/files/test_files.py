"""Files are whole or absent, and nothing is left beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_pki.files import mode_of, write_new, write_whole

Write = Callable[[Path, str], None]


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_what_is_written_is_there_as_it_was_given_and_private(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "f"
    write(file, "ü\r\nb\n")
    assert file.read_bytes() == b"\xc3\xbc\r\nb\n"
    assert mode_of(file) == 0o600
    assert _names(tmp_path) == ["f"]


def test_a_file_is_replaced_and_a_new_one_never_replaces(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_whole(file, "old", mode=0o644)
    write_whole(file, b"new", mode=0o640)
    assert (file.read_text(), mode_of(file)) == ("new", 0o640)
    with pytest.raises(FileExistsError):
        write_new(file, "other")
    assert file.read_text() == "new"
    assert _names(tmp_path) == ["f"]


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_a_write_that_is_broken_off_leaves_what_was_there(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("old")

    def break_off(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", break_off)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "f", "new")
    assert (tmp_path / "f").read_text() == "old"
    assert _names(tmp_path) == ["f"]


def test_a_file_that_is_not_good_does_not_get_its_name(tmp_path: Path) -> None:
    seen: list[str] = []

    def check(written: Path) -> None:
        seen.append(written.read_text())
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        write_new(tmp_path / "f", "content", check=check)
    assert seen == ["content"]
    assert _names(tmp_path) == []
