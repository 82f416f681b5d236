"""The engine that ``make up`` made ready is found where no other is, and by a shell that asks."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from mtls_pki.commands.main import main
from mtls_pki.engine.cli import run_pulumi
from mtls_pki.engine.local import RECORD, local_environment
from mtls_pki.errors import CommandError

SYSTEM = "/usr/bin:/bin"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project for which an engine was made ready, whose name has a blank and a quote."""
    tools = tmp_path / "the engine's own"
    tools.mkdir()
    program = tools / "pulumi"
    program.write_text('#!/bin/sh\necho "$PULUMI_HOME $*"\n')
    program.chmod(0o755)
    record = {"path": [str(tools)], "environment": {"PULUMI_HOME": "a b", "TMPDIR": str(tmp_path)}}
    (tmp_path / RECORD).parent.mkdir()
    (tmp_path / RECORD).write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", SYSTEM)
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    return tmp_path


def test_without_another_it_is_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_pulumi("version").output.startswith("a b version")
    # What the caller says of a setting counts more.
    monkeypatch.setenv("PULUMI_HOME", "mine")
    assert run_pulumi("version", directory=project).output.startswith("mine version")


def test_an_installed_one_is_used_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = project / "installed"
    installed.mkdir()
    (installed / "pulumi").write_text("#!/bin/sh\necho installed\n")
    (installed / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{installed}:{SYSTEM}")
    assert run_pulumi("version").output == "installed\n"


def test_a_shell_gets_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 0
    told = capsys.readouterr().out
    assert {line.split("=")[0] for line in told.splitlines()} == {
        "export PATH",
        "export PULUMI_HOME",
        "export TMPDIR",
    }
    done = subprocess.run(
        ["sh", "-c", f"eval {shlex.quote(told)}; pulumi version"],
        env={"PATH": SYSTEM},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a b version\n"


def test_where_there_is_none_the_way_to_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["env"]) == 1
    assert "there is no .lab/engine.json here; `make up` writes it" in capsys.readouterr().err
    assert local_environment(tmp_path, os.environ) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"path": 1, "environment": {}}'])
def test_a_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).parent.mkdir()
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(CommandError, match="cannot be read; `make up` writes it anew"):
        local_environment(tmp_path, {})
