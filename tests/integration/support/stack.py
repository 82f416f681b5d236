"""One stack of a copy of the project, driven as a user drives it: by the pulumi CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.pulumi_cli import Engine, open_engine
from tests.integration.support.project import copy_project

PROJECT_NAME = "mtls-pki"
_OF_THE_ENGINE = ("pulumi:pulumi:", "pulumi:providers:pulumi", PROJECT_NAME)
# Makes the CLI know `--event-log`, which tells exactly what was done to each resource.
_EVENT_LOG = {"PULUMI_DEBUG_COMMANDS": "true"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one command did.

    Attributes:
        status: exit status of the CLI.
        output: standard output and standard error, as a user sees them.
        steps: operation (``create``, ``same``, ...) by name of the resource that it was done to.
    """

    status: int
    output: str
    steps: Mapping[str, str]

    @property
    def changes(self) -> dict[str, str]:
        """The steps that changed something."""
        return {name: step for name, step in self.steps.items() if step not in ("same", "read")}

    def count(self, step: str) -> int:
        """How many resources saw this operation."""
        return Counter(self.steps.values())[step]


class Stack:
    """A stack with a project, a PULUMI_HOME and a file backend of its own below ``directory``.

    Attributes:
        printed: everything that any command has printed so far.
        environment: of every command, beside the engine's own.
    """

    def __init__(
        self, directory: Path, name: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Copy the project and create the stack; ``environment`` goes to every command."""
        self.directory = directory
        self.name = name
        self.project = copy_project(directory / "project")
        self.engine: Engine = open_engine(self.project, directory)
        self.printed: list[str] = []
        self.environment = {**_EVENT_LOG, **(environment or {})}

    @property
    def file(self) -> Path:
        """Its ``Pulumi.<stack>.yaml``."""
        return self.project / f"Pulumi.{self.name}.yaml"

    @property
    def state_file(self) -> Path:
        """The state as the file backend keeps it."""
        return self.engine.backend / f".pulumi/stacks/{PROJECT_NAME}/{self.name}.json"

    def certificates_in_state(self) -> list[str]:
        """The names of the Certificates that the state knows, one as often as it is in it."""
        latest = json.loads(self.state_file.read_text())["checkpoint"]["latest"]
        return sorted(
            each["inputs"]["metadata"]["name"]
            for each in latest["resources"]
            if each["type"] == "kubernetes:cert-manager.io/v1:Certificate"
        )

    def event_logs(self) -> list[Path]:
        return sorted(self.directory.glob("events-*.json"))

    # Configuration

    def read(self) -> dict[str, Any]:
        """The configuration by top-level key, without the project's prefix."""
        config = yaml.safe_load(self.file.read_text(encoding="utf-8"))["config"]
        return {key.removeprefix(f"{PROJECT_NAME}:"): value for key, value in config.items()}

    def write(self, values: Mapping[str, Any]) -> None:
        """Make ``values`` the whole configuration; the stack's encryption salt stays."""
        document = yaml.safe_load(self.file.read_text()) if self.file.exists() else None
        config = {f"{PROJECT_NAME}:{key}": value for key, value in values.items()}
        self.file.write_text(yaml.safe_dump({**(document or {}), "config": config}))

    # Commands

    def init(self, *options: str) -> None:
        """Create the stack in its backend."""
        self.must("stack", "init", self.name, *options)

    def command(self, *arguments: str, standard_input: str = "") -> Run:
        """Run any command on this stack."""
        done = self.engine.run(
            *arguments, extra_environment=self.environment, standard_input=standard_input
        )
        output = done.stdout + done.stderr
        self.printed.append(output)
        return Run(status=done.returncode, output=output, steps={})

    def must(self, *arguments: str, standard_input: str = "") -> Run:
        """Run any command that must not fail."""
        run = self.command(*arguments, standard_input=standard_input)
        assert run.status == 0, run.output
        return run

    def try_up(self, *options: str) -> Run:
        """``pulumi up``, whatever comes of it."""
        return self._operation("up", "--yes", "--skip-preview", *options)

    def up(self, *options: str) -> Run:
        """``pulumi up``, which must not fail."""
        return self._succeeded(self.try_up(*options))

    def try_up_in_vain(self, seconds: int = 10) -> Run:
        """``pulumi up`` of what is not to become Ready, for which alone it waits so briefly.

        Args:
            seconds: long enough for cert-manager's first attempt on a busy machine.
        """
        values = self.read()
        self.write({**values, "issuing": {**values["issuing"], "readyTimeout": f"{seconds}s"}})
        try:
            return self.try_up()
        finally:
            self.write(values)

    def preview(self, *options: str) -> Run:
        """``pulumi preview``, whatever comes of it."""
        return self._operation("preview", *options)

    def try_refresh(self, *options: str) -> Run:
        """``pulumi refresh``, whatever comes of it."""
        return self._operation("refresh", "--yes", "--skip-preview", *options)

    def refresh(self, *options: str) -> Run:
        """``pulumi refresh``, which must not fail."""
        return self._succeeded(self.try_refresh(*options))

    def try_destroy(self, *options: str) -> Run:
        """``pulumi destroy`` with its preview, whatever comes of it."""
        return self._operation("destroy", "--yes", *options)

    def start_up(self, *options: str) -> subprocess.Popen[bytes]:
        """Start ``pulumi up`` as the leader of a session of its own, and do not wait for it."""
        command = [self.engine.pulumi, "up", "--yes", "--skip-preview", "--non-interactive"]
        return subprocess.Popen(
            [*command, "--stack", self.name, *options],
            cwd=self.project,
            env=self.engine.environment(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start_update(self, *options: str) -> subprocess.Popen[str]:
        """Start ``mtls-pki up --yes`` as the leader of a session of its own."""
        return self.start_command("up", "--yes", *options)

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``mtls-pki ARGUMENTS``, which runs the engine, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mtls_pki", *arguments, "--stack", self.name],
            cwd=self.project,
            env=self.engine.environment(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def update(self, *options: str) -> Run:
        """``mtls-pki up --yes``, whatever comes of it."""
        with self.start_update(*options) as process:
            output, _ = process.communicate()
        self.printed.append(output)
        return Run(status=process.returncode, output=output, steps={})

    def start_rotation(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``mtls-pki ARGUMENTS`` on this stack, and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "mtls_pki", *arguments, "--stack", self.name],
            cwd=self.project,
            # The working directory comes first on the path, so the stack's own copy runs.
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rotation(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``mtls-pki ARGUMENTS`` on this stack, whatever comes of it."""
        with self.start_rotation(*arguments) as process:
            out, error = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def _operation(self, verb: str, *options: str) -> Run:
        log = self.directory / f"events-{len(self.printed)}.json"
        run = self.command(verb, "--stack", self.name, "--event-log", str(log), *options)
        steps = _steps(log.read_text(encoding="utf-8")) if log.exists() else {}
        return Run(status=run.status, output=run.output, steps=steps)

    def _succeeded(self, run: Run) -> Run:
        assert run.status == 0, run.output
        return run


def _steps(events: str) -> dict[str, str]:
    """What was done to each resource (not to components), from the engine's event log.

    The provider of the engine's own functions is none that the engine counts as a change.
    """
    steps = {}
    for line in events.splitlines():
        event = json.loads(line)
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            metadata = event.get(kind, {}).get("metadata")
            if metadata and not metadata["type"].startswith(_OF_THE_ENGINE):
                steps[metadata["urn"].rpartition("::")[2]] = metadata["op"]
    return steps


def merged_kubeconfig(*paths: Path) -> str:
    """The value of ``KUBECONFIG`` that names all of ``paths``."""
    return os.pathsep.join(map(str, paths))
