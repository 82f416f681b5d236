"""What all commands have in common: one parser, one table of statuses, one way to end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_pki.commands import parser as parsing
from mtls_pki.commands import table
from mtls_pki.commands.command import Command
from mtls_pki.commands.main import main
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import MEANING, ExitStatus, exit_status_text
from mtls_pki.review.verdict import Outcome
from mtls_pki.rotation.verdict import Verdict
from mtls_pki.version import VERSION
from tests.unit.stack_project import Project, Say

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("mtls-pki")
NAMES = (
    *("status", "up", "check", "plan", "drill", "exporter", "add", "aws-pca", "promote", "retire"),
    *("reissue", "prune", "review", "ci", "backup", "restore", "access", "init", "env"),
)


def every(commands: tuple[Command, ...], *before: str) -> Iterator[tuple[str, ...]]:
    """Yield every command and sub-command as it is typed."""
    for command in commands:
        yield (*before, command.name)
        yield from every(command.commands, *before, command.name)


EVERY = list(every(table.COMMANDS))
# What each needs besides its name.
LEAST = {
    ("add",): ("g2",),
    ("aws-pca", "add"): ("g2", f"arn:aws:acm-pca:eu-west-1:{1:012}:certificate-authority/{1:036}"),
    ("aws-pca", "create"): ("g2",),
    ("access", "request"): ("admin.csr",),
    ("access", "approve"): ("mtls-pki-0",),
    ("access", "deny"): ("mtls-pki-0",),
    ("access", "kubeconfig"): ("admin.csr", "--key", "admin.key", "--output", "new.kubeconfig"),
    ("access", "check"): ("admin.kubeconfig",),
    ("access", "renew"): ("deployer",),
    ("backup",): ("a.age",),
    ("restore",): ("a.age",),
    ("init",): (".",),
    ("ci", "stacks"): ("--base", "HEAD"),
    ("ci", "static"): ("--base", "HEAD"),
    ("ci", "preview"): ("--stack", "dev", "--output", "out"),
    ("ci", "kubeconfig"): ("--stack", "dev"),
    ("ci", "deploy"): ("--stack", "dev"),
    ("ci", "drift"): ("--stack", "dev"),
}
# Of these one of their commands must be named.
GROUPS = (("ci",), ("aws-pca",), ("access",))
RUN = [(*command, *LEAST.get(command, ())) for command in EVERY if command not in GROUPS]


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(command.name for command in table.COMMANDS) == NAMES
    assert main(["--help"]) == 0
    listed = re.findall(r"^    ([a-z-]+) ", capsys.readouterr().out, flags=re.M)
    assert tuple(listed) == NAMES


def test_a_command_is_one_file() -> None:
    for name in NAMES:
        file = f"{name.replace('-', '_')}.py"
        assert (ROOT / "mtls_pki" / "commands" / file).exists()


@pytest.mark.parametrize("command", [(), *EVERY], ids=" ".join)
def test_every_help_ends_with_the_table_of_statuses(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == ExitStatus.DONE
    out = capsys.readouterr().out
    assert out.endswith(exit_status_text())
    if command:
        examples = re.findall(r"^  mtls-pki (.*)$", out[out.index("examples:") :], flags=re.M)
        assert examples
        for example in examples:
            assert example.split()[: len(command)] == list(command)


def test_the_table_of_statuses_is_the_enum() -> None:
    told = re.findall(r"^  (\d+) +(.+)$", exit_status_text(), flags=re.M)
    assert [(int(status), text) for status, text in told] == [
        (status.value, MEANING[status]) for status in ExitStatus
    ]
    assert [status.value for status in ExitStatus] == [0, 1, 2, 3, 4, 5, 6, 130]
    assert set(Outcome) <= set(ExitStatus)
    assert Verdict.exit_code.fget.__annotations__["return"] == "ExitStatus"


def test_the_docs_have_the_same_table() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page[page.index("| exit status |") :].split("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, flags=re.M)
    assert [(int(status), text) for status, text in rows] == [
        (status.value, MEANING[status]) for status in ExitStatus
    ]


def test_every_example_of_a_help_is_a_command_line() -> None:
    def check(commands: tuple[Command, ...]) -> None:
        for command in commands:
            for example in command.examples:
                assert parsing.parse(shlex.split(example.partition(" && ")[0])).run
            check(command.commands)

    check(table.COMMANDS)


def test_help_names_the_variables_that_a_command_reads(capsys: pytest.CaptureFixture[str]) -> None:
    from mtls_pki.ci.kubeconfig import VARIABLE as KUBECONFIG
    from mtls_pki.commands.passphrase import VARIABLE as PASSPHRASE

    for command, variable in (
        (("ci", "kubeconfig"), KUBECONFIG),
        (("backup",), PASSPHRASE),
        (("restore",), PASSPHRASE),
    ):
        main([*command, "--help"])
        assert f"${variable}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mtls-pki {VERSION}\n"


@pytest.mark.parametrize("command", RUN, ids=" ".join)
def test_an_error_is_one_message_with_one_beginning(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Say
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    # Nobody's repository either, whatever the temporary directory lies in.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if command[0] == "init":
        (tmp_path / ".gitignore").touch()
    assert main(command) == ExitStatus.ERROR
    out, err = said()
    assert out == ""
    assert err.startswith("mtls-pki: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", RUN, ids=" ".join)
def test_ctrl_c_is_one_message_and_130(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, said: Say
) -> None:
    def interrupted(options: object) -> ExitStatus:
        raise KeyboardInterrupt

    def with_it(commands: tuple[Command, ...]) -> tuple[Command, ...]:
        return tuple(
            replace(each, run=interrupted, commands=with_it(each.commands)) for each in commands
        )

    monkeypatch.setattr(parsing, "COMMANDS", with_it(table.COMMANDS))
    assert main(command) == 130
    assert said() == ("", "mtls-pki: interrupted\n")


def test_ctrl_c_reaches_a_command_that_waits(project: Project) -> None:
    """A real signal to a real process, which waits for what `pulumi` says."""
    tools = project.directory / "tools"
    tools.mkdir()
    pulumi = tools / "pulumi"
    pulumi.write_text("#!/bin/sh\ntouch began\nexec sleep 60\n")
    pulumi.chmod(0o755)
    with subprocess.Popen(
        [PROGRAM, "review"],
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (project.directory / "began").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "mtls-pki: interrupted\n")


@pytest.mark.parametrize("arguments", [("--help",), ("add", "g2", "--dry-run")], ids=" ".join)
def test_a_reader_that_is_gone_is_no_traceback(
    project: Project, arguments: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    # As for everybody whose output is buffered, so that it is lost at the end and not at a print.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


HEAVY = ("pulumi", "kubernetes", "pydantic", "ruamel", "rich", "requests", "cryptography", "shtab")


@pytest.mark.parametrize("arguments", [("--help",), *(("reissue", "--help"), ("ci", "-h"))])
def test_the_command_line_is_built_without_what_takes_time(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; from mtls_pki.commands.main import main; main(sys.argv[1:]); "
        f"sys.exit(' '.join(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


def test_a_message_of_a_command_that_fails_is_the_errors_own(
    project: Project, monkeypatch: pytest.MonkeyPatch, said: Say
) -> None:
    def failing(options: object) -> ExitStatus:
        raise CommandError("why, and what to do")

    commands = tuple(replace(each, run=failing) for each in table.COMMANDS)
    monkeypatch.setattr(parsing, "COMMANDS", commands)
    assert project.run("status") == 1
    assert said() == ("", "mtls-pki: why, and what to do\n")
