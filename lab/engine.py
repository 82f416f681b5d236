"""The Pulumi engine as this project runs it locally: a file backend and plugins of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import toolchain
from lab.errors import LabError

# The dev stack is thrown away; anything worth a passphrase must not be in it (README, "Dev
# defaults").
DEV_PASSPHRASE = ""
_ENGINE_TOOLS = ("pulumi", "pulumi-language-python")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A pulumi CLI with a home and a backend below one directory.

    Attributes:
        pulumi: the CLI.
        project: directory of ``Pulumi.yaml``; commands run in it.
        directory: holds ``pulumi-home`` (plugins) and ``pulumi-state`` (the file backend).
        tool_directories: put first on PATH (language host, providers that were built here).
        passphrase: of the stack's secrets provider.
    """

    pulumi: Path
    project: Path
    directory: Path
    tool_directories: tuple[Path, ...] = ()
    passphrase: str = DEV_PASSPHRASE

    @property
    def home(self) -> Path:
        """PULUMI_HOME."""
        return self.directory / "pulumi-home"

    @property
    def backend(self) -> Path:
        """The file backend's directory."""
        return self.directory / "pulumi-state"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of every pulumi command: nothing of the user's own Pulumi."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
        path = os.pathsep.join([*map(str, self.tool_directories), inherited.get("PATH", "")])
        own = {
            "PATH": path,
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": self.backend.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        if self.tool_directories:
            own["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        return {**inherited, **own, **(extra or {})}

    def run(
        self,
        *arguments: str,
        extra_environment: Mapping[str, str] | None = None,
        standard_input: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run one non-interactive command and return what it printed, whatever its exit status.

        Args:
            arguments: of the CLI; never a secret, since every user of the machine can read them.
            extra_environment: laid over :meth:`environment`.
            standard_input: where a secret goes, as in ``pulumi config set --secret KEY``.
        """
        return subprocess.run(
            [self.pulumi, *arguments, "--non-interactive"],
            cwd=self.project,
            env=self.environment(extra_environment),
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )

    def call(self, *arguments: str) -> None:
        """Run one command on the caller's terminal.

        Raises:
            LabError: it failed; what it printed has said why.
        """
        command = [self.pulumi, *arguments]
        status = subprocess.run(
            command, cwd=self.project, env=self.environment(), check=False
        ).returncode
        if status != 0:
            raise LabError(f"`pulumi {' '.join(arguments)}` failed (exit status {status})")

    def select_stack(self, stack: str) -> None:
        """Select ``stack`` in this backend, making it there if need be.

        Raises:
            LabError: with what pulumi said.
        """
        done = self.run("stack", "select", stack, "--create")
        if done.returncode != 0:
            raise LabError(f"stack {stack} cannot be selected: {done.stderr.strip()}")


def open_engine(project: Path, directory: Path) -> Engine:
    """Return the engine of ``project``: the user's own pulumi if there is one, else a built one.

    Raises:
        LabError: a tool is missing and cannot be built; the message says what to install.
    """
    directory.mkdir(parents=True, exist_ok=True)
    installed = shutil.which("pulumi")
    if installed is not None:
        engine = Engine(pulumi=Path(installed), project=project, directory=directory)
    else:
        built = toolchain.ensure(*_ENGINE_TOOLS)
        engine = Engine(
            pulumi=built["pulumi"],
            project=project,
            directory=directory,
            tool_directories=tuple(dict.fromkeys(path.parent for path in built.values())),
        )
        toolchain.install_plugins(engine.home)
    engine.backend.mkdir(parents=True, exist_ok=True)
    return engine
