"""Completion in a real bash on a terminal: what a person gets who presses the tab key."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_pki.commands.main import main
from mtls_pki.commands.parser import SHELLS
from mtls_pki.commands.table import COMMANDS

PROGRAM = Path(sys.executable).with_name("mtls-pki")
PROMPT = "$> "


class Bash:
    """An interactive bash, in which keys are pressed."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def press(self, keys: str, *until: str) -> str:
        """Press ``keys``, and return what the terminal shows until all of ``until`` is there."""
        os.write(self._terminal, keys.encode())
        shown = ""
        deadline = time.monotonic() + 30
        while not all(each in shown for each in until):
            ready, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
            assert ready, f"{until!r} is not in {shown!r}"
            shown += os.read(self._terminal, 4096).decode().replace("\a", "")
        return shown


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Bash]:
    """A bash in a directory with two files, which has read the script."""
    for name in ("state.age", "other.age"):
        (tmp_path / name).touch()
    script = tmp_path / "completion"
    with script.open("w") as file:
        subprocess.run([PROGRAM, "--print-completion", "bash"], stdout=file, check=True)
    controller, terminal = pty.openpty()
    # The program itself is not on PATH: the shell completes without starting it.
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": str(tmp_path), "PS1": PROMPT}
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=tmp_path,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shell = Bash(controller)
        shell.press(
            f"PS1='{PROMPT}'; bind 'set bell-style none'; . {script}; echo re''ady\n", "ready"
        )
        yield shell
        process.kill()
    os.close(controller)


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("resto", "restore "),
        ("ci dri", "ci drift "),
        ("plan --format markd", "plan --format markdown "),
        ("reissue --name", "reissue --namespace "),
        ("restore stat", "restore state.age "),
        ("review --html oth", "review --html other.age "),
    ],
)
def test_one_tab_completes(bash: Bash, typed: str, becomes: str) -> None:
    bash.press(f"mtls-pki {typed}\t", f"mtls-pki {becomes}")


def test_two_tabs_list_the_commands(bash: Bash) -> None:
    bash.press("mtls-pki \t\t", "add", "aws-pca", "backup", "check", "init", "review", "status")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_with_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
        assert all(below.name in script for below in command.commands)


def test_another_shell_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "tcl"]) == 2
    assert "'bash', 'fish', 'zsh'" in capsys.readouterr().err
