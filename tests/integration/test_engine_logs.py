"""What the engine shows of keys with each variable that is refused, and that it is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.pulumi_cli import Engine, open_engine
from mtls_pki.engine.revealing import COMPANIONS, PLACES, SWITCHES
from mtls_pki.exit_status import ExitStatus
from tests.integration.support.project import PROJECT
from tests.integration.support.secrets import assert_no_private_key

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine-logs")]

_PROJECT_FILE = f"""
name: logged
runtime:
  name: python
  options: {{toolchain: pip, virtualenv: {PROJECT / ".venv"}}}
"""
_PROGRAM = """
import pulumi
import pulumi_tls

key = pulumi_tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256")
pulumi.export("key", key.private_key_pem)
"""
UP = ("up", "--yes", "--skip-preview")
PREVIEW = ("preview", "--json")
# As a person sets them: the place of a log is below OUT.
VARIABLES = {
    "PULUMI_DEBUG_GRPC": (UP, {"PULUMI_DEBUG_GRPC": "OUT/calls"}),
    "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": (
        PREVIEW,
        {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
    ),
    "PULUMI_OPTION_DEBUG": (UP, {"PULUMI_OPTION_DEBUG": "true"}),
    "PULUMI_OPTION_EVENT_LOG": (
        UP,
        {"PULUMI_OPTION_EVENT_LOG": "OUT/events", "PULUMI_DEBUG_COMMANDS": "true"},
    ),
    "PULUMI_OPTION_JSON": (UP, {"PULUMI_OPTION_JSON": "true"}),
    "PULUMI_OPTION_SHOW_SECRETS": (UP, {"PULUMI_OPTION_SHOW_SECRETS": "true"}),
    "PULUMI_OPTION_TRACING": (UP, {"PULUMI_OPTION_TRACING": "file:OUT/trace"}),
    # Without PULUMI_OPTION_LOGTOSTDERR, to a file in the temporary directory.
    "PULUMI_OPTION_VERBOSE": (UP, {"PULUMI_OPTION_VERBOSE": "3"}),
}
OPTIONS = {
    "-v": ("-v=3", "--logtostderr"),
    "--debug": ("--debug",),
    "--tracing": ("--tracing=file:OUT/trace",),
    "--show-secrets": ("--show-secrets",),
    "--json": ("--json",),
}
ALONE = {
    "PULUMI_OPTION_LOGFLOW": "true",
    "PULUMI_OPTION_LOGTOSTDERR": "true",
    "PULUMI_OPTION_OTEL_TRACES": "file://OUT/traces",
}


class Logged:
    """A stack that has a key, and an engine that nothing of ours keeps quiet."""

    def __init__(self, directory: Path) -> None:
        project = directory / "project"
        project.mkdir()
        (project / "Pulumi.yaml").write_text(_PROJECT_FILE)
        (project / "__main__.py").write_text(_PROGRAM)
        self.engine: Engine = open_engine(project, directory)
        for command in (("stack", "init", "dev"), UP):
            done = self.engine.run(*command)
            assert done.returncode == 0, done.stderr
        shown = self.engine.run("stack", "output", "key", "--show-secrets")
        self.key = shown.stdout

    def texts(self, out: Path, *arguments: str, **variables: str) -> dict[str, str]:
        """Run pulumi as a person does; return all that it printed and all that it wrote."""
        done = subprocess.run(
            [
                self.engine.pulumi,
                *(each.replace("OUT", str(out)) for each in arguments),
                "--stack=dev",
                "--non-interactive",
            ],
            cwd=self.engine.project,
            env=self.engine.environment({"TMPDIR": str(out)})
            | {name: value.replace("OUT", str(out)) for name, value in variables.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        files = {
            # The lines of a key in JSON are as they are; what parts them is escaped.
            str(path.relative_to(out)): path.read_text(errors="replace")
            for path in out.rglob("*")
            if path.is_file()
        }
        return {"standard output": done.stdout, "standard error": done.stderr, **files}

    def is_shown(self, texts: dict[str, str]) -> bool:
        """Whether the stack's key, and not only some marker of one, stands in a text."""
        line = self.key.splitlines()[1]
        return any(line in text or line in json.dumps(text) for text in texts.values())


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return Logged(tmp_path_factory.mktemp("logged"))


def test_every_variable_that_is_refused_for_what_it_shows_is_tried() -> None:
    assert VARIABLES.keys() == {*SWITCHES, *PLACES}
    assert ALONE.keys() < {*COMPANIONS}


@pytest.mark.parametrize("name", VARIABLES)
def test_with_the_variable_the_engine_shows_the_key_and_our_command_refuses(
    logged: Logged, tmp_path: Path, name: str
) -> None:
    command, variables = VARIABLES[name]
    assert logged.is_shown(logged.texts(tmp_path, *command, **variables))

    refused = subprocess.run(
        [sys.executable, "-m", "mtls_pki", "ci", "drift", "--stack", "dev"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == ExitStatus.WRONG_COMMAND_LINE
    assert name in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("name", OPTIONS)
def test_with_the_option_the_engine_shows_the_key(
    logged: Logged, tmp_path: Path, name: str
) -> None:
    assert logged.is_shown(logged.texts(tmp_path, *UP, *OPTIONS[name]))


@pytest.mark.parametrize("name", ALONE)
def test_what_only_says_where_the_log_goes_shows_no_key_alone(
    logged: Logged, tmp_path: Path, name: str
) -> None:
    texts = logged.texts(tmp_path, *UP, **{name: ALONE[name]})
    assert_no_private_key(texts, keys=[logged.key])


@pytest.mark.parametrize("command", [UP, PREVIEW, ("up", "--yes"), ("preview", "--diff")])
def test_without_any_of_them_nothing_shows_a_key(
    logged: Logged, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert_no_private_key(logged.texts(tmp_path, *command), keys=[logged.key])
