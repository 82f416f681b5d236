"""The file: what opens it, what does not, and what each refusal says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from mtls_pki.backup.archive import SCHEMA, Content, load, save
from mtls_pki.errors import CommandError

PASSPHRASE = "correct horse battery"  # noqa: S105 of this test alone
SECRET = "the key itself"  # noqa: S105 it is none
CONTENT = Content(
    project="mtls-pki", stack="dev", made="2026-11-23T00:00:00Z", deployment={"key": SECRET * 9000}
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "dev.age"
    save(path, CONTENT, PASSPHRASE)
    assert [each.name for each in path.parent.iterdir()] == ["dev.age"]
    return path.read_bytes()


@pytest.fixture
def opens_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], bytes]:
    """An archive that opens to this document; scrypt takes a second, and is not what is tested."""

    def archive(document: object) -> bytes:
        monkeypatch.setattr(pyrage.passphrase, "decrypt", lambda *_: json.dumps(document).encode())
        return b"age-encryption.org/v1\n"

    return archive


def test_what_was_saved_is_loaded(saved: bytes, tmp_path: Path) -> None:
    path = tmp_path / "copy.age"
    path.write_bytes(saved)
    assert load(path, PASSPHRASE) == CONTENT


def test_any_age_opens_it(saved: bytes) -> None:
    document = json.loads(pyrage.passphrase.decrypt(saved, PASSPHRASE))
    assert document["schema"] == SCHEMA


def test_nothing_is_readable_in_it(saved: bytes) -> None:
    assert saved.startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert SECRET.encode() not in saved
    assert b"mtls-pki" not in saved


def test_no_representation_shows_a_key() -> None:
    assert SECRET not in repr(CONTENT)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "dev.age"
    path.write_text("mine")
    with pytest.raises(CommandError, match="is not overwritten"):
        save(path, CONTENT, PASSPHRASE)
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["dev.age"]


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="at least 12"):
        save(tmp_path / "dev.age", CONTENT, "short")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere/dev\.age cannot be written"):
        save(tmp_path / "nowhere" / "dev.age", CONTENT, PASSPHRASE)


def refusal(tmp_path: Path, content: bytes, passphrase: str = PASSPHRASE) -> str:
    path = tmp_path / "dev.age"
    path.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        load(path, passphrase)
    message = str(caught.value)
    assert str(path) in message
    assert passphrase not in message
    assert SECRET not in message
    return message


def test_a_wrong_passphrase_is_told_from_damage(saved: bytes, tmp_path: Path) -> None:
    assert "the passphrase does not open it" in refusal(tmp_path, saved, PASSPHRASE + "!")


@pytest.mark.parametrize("length", [40, 1000, 65_736, -1])
def test_a_truncated_archive_is_damaged(saved: bytes, tmp_path: Path, length: int) -> None:
    assert "is damaged" in refusal(tmp_path, saved[:length])


@pytest.mark.parametrize("place", [180, 70_000, -1])
def test_an_altered_archive_is_damaged(saved: bytes, tmp_path: Path, place: int) -> None:
    altered = bytearray(saved)
    altered[place] ^= 1
    assert "is damaged" in refusal(tmp_path, bytes(altered))


def test_a_cost_far_above_this_machines_is_no_damage(saved: bytes, tmp_path: Path) -> None:
    first, second, *rest = saved.split(b"\n")
    costly = b"\n".join([first, second.rpartition(b" ")[0] + b" 40", *rest])
    assert "too slow or too busy" in refusal(tmp_path, costly)


def test_more_than_was_written_is_damaged(saved: bytes, tmp_path: Path) -> None:
    assert "is damaged" in refusal(tmp_path, saved + b"x")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"{}", b"-----BEGIN AGE ENCRYPTED FILE-----\n", b"\xff" * 300]
)
def test_a_foreign_file_is_no_backup(tmp_path: Path, content: bytes) -> None:
    assert "is no backup" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "document",
    [[], {"schema": 1}, {"schema": SCHEMA, "more": 1}, {"a": "b"}],
)
def test_somebody_elses_encrypted_file_is_foreign(
    tmp_path: Path, opens_to: Callable[[object], bytes], document: object
) -> None:
    message = refusal(tmp_path, opens_to(document))
    assert "does not hold a backup" in message or "format" in message


def test_a_later_format_is_named(tmp_path: Path, opens_to: Callable[[object], bytes]) -> None:
    assert "mtls-pki/backup/v2" in refusal(tmp_path, opens_to({"schema": "mtls-pki/backup/v2"}))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing\.age cannot be read: No such file"):
        load(tmp_path / "nothing.age", PASSPHRASE)
