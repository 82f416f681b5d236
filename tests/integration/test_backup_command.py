"""Where the passphrase comes from, and where it does not go."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

import pytest

from mtls_pki.commands.main import main
from mtls_pki.commands.passphrase import VARIABLE

PASSPHRASE = "correct horse battery"  # noqa: S105 of this test alone
STATE = '{"version": 3, "deployment": {"resources": [{"urn": "u", "type": "t"}]}}'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stack, and a `pulumi` that prints its state and records what it knows."""
    (tmp_path / "Pulumi.yaml").write_text("name: mtls-pki\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("encryptionsalt: v1:x\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    pulumi = tools / "pulumi"
    pulumi.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/known\necho \"$@\" >> {tmp_path}/known\necho '{STATE}'\n"
    )
    pulumi.chmod(pulumi.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_program_that_is_started_knows_the_passphrase(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    assert main(["backup", "dev.age"]) == 0
    known = (project / "known").read_text()
    assert "stack export --stack dev --show-secrets" in known
    assert PASSPHRASE not in known
    said = capsys.readouterr()
    assert "saved 1 resources of stack dev" in said.out
    assert PASSPHRASE not in said.out + said.err


def test_where_nobody_can_be_asked_the_variable_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert main(["backup", "dev.age"]) == 1
    assert f"set ${VARIABLE}" in capsys.readouterr().err
    assert not (project / "known").exists()


def test_a_person_is_asked_twice(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [PASSPHRASE, PASSPHRASE + "!", PASSPHRASE, PASSPHRASE]
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda _: answers.pop(0))
    assert main(["backup", "dev.age"]) == 1
    assert "the two passphrases differ" in capsys.readouterr().err
    assert main(["backup", "dev.age"]) == 0


def test_an_engine_that_fails_is_quoted_but_not_its_output(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tools" / "pulumi").write_text(
        "#!/bin/sh\necho a-key\nprintf 'error: why\\n\\n* because\\n' >&2\nexit 1\n"
    )
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    assert main(["backup", "dev.age"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("ask for (docs/state.md). It said: error: why * because\n")
    assert "a-key" not in said
