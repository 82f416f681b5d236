"""The Pulumi engine as this project runs it locally: a file backend and plugins of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import toolchain
from lab.errors import LabError
from lab.files import write_private
from lab.processes import start_mark
from mtls_pki.engine.local import RECORD
from mtls_pki.engine.process import run_engine
from mtls_pki.engine.revealing import require_quiet
from mtls_pki.errors import UsageError

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
        directory: holds ``pulumi-home`` (plugins), ``pulumi-state`` (the file backend) and ``tmp``.
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

    @property
    def temporary(self) -> Path:
        """TMPDIR, which goes with the directory: plugins leave copies of kubeconfigs there."""
        return self.directory / "tmp"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of every pulumi command: nothing of the user's own Pulumi."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
        path = os.pathsep.join([*map(str, self.tool_directories), inherited.get("PATH", "")])
        return {**inherited, "PATH": path, **self._own_environment(), **(extra or {})}

    def write_record(self) -> None:
        """Write how a shell gets this engine and its stacks, for ``mtls-pki env``; no secret."""
        record = {
            "path": [*map(str, self.tool_directories), str(self.pulumi.parent)],
            "environment": self._own_environment(),
        }
        write_private(self.project / RECORD, json.dumps(record, indent=2) + "\n")

    def _own_environment(self) -> dict[str, str]:
        own = {
            "PULUMI_HOME": str(self.home),
            # Without sidecar files of metadata: nothing reads them, and a run that is killed while
            # it writes one (not atomically, as the state is) leaves a stack that cannot be loaded.
            "PULUMI_BACKEND_URL": f"{self.backend.as_uri()}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "TMPDIR": str(self.temporary),
        }
        if self.tool_directories:
            own["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        return own

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
        return run_engine(
            [self.pulumi, *arguments, "--non-interactive"],
            directory=self.project,
            environment=self.environment(extra_environment),
            temporary=self.temporary,
            given=standard_input,
        )

    def call(self, *arguments: str) -> None:
        """Run one command on the caller's terminal.

        Raises:
            LabError: it failed; what it printed has said why.
        """
        status = run_engine(
            [self.pulumi, *arguments],
            directory=self.project,
            environment=self.environment(),
            temporary=self.temporary,
            given=None,
            output=None,
            errors=None,
        ).returncode
        if status != 0:
            raise LabError(f"`pulumi {' '.join(arguments)}` failed (exit status {status})")

    def select_stack(self, stack: str) -> None:
        """Select ``stack`` in this backend, making it there if need be, ready for the next run.

        Where an earlier run was killed, its lock is taken away, and so are the operations that the
        state has as pending: all that this project creates can be created again over itself.

        Raises:
            LabError: with what pulumi said.
        """
        self._must("stack", "select", stack, "--create")
        if self._locked_by_dead_runs(stack):
            self._must("cancel", stack, "--yes")
            self._must(
                "refresh", "--stack", stack, "--yes", "--skip-preview", "--clear-pending-creates"
            )

    def _must(self, *arguments: str) -> None:
        done = self.run(*arguments)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"`pulumi {' '.join(arguments)}` failed: {said}")

    def _locked_by_dead_runs(self, stack: str) -> bool:
        """Whether there are locks, all of processes of this machine that are no more."""
        owners = [
            json.loads(lock.read_text(encoding="utf-8"))
            for lock in (self.backend / ".pulumi/locks").glob(f"organization/*/{stack}/*.json")
        ]
        return bool(owners) and all(
            owner["hostname"] == socket.gethostname() and start_mark(owner["pid"]) is None
            for owner in owners
        )


def open_engine(project: Path, directory: Path) -> Engine:
    """Return the engine of ``project``: the user's own pulumi if there is one, else a built one.

    Raises:
        LabError: a tool is missing and cannot be built; the message says what to install. Or a
            variable is set with which the engine shows keys.
    """
    refuse_shown_keys()
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
    engine.temporary.mkdir(mode=0o700, exist_ok=True)
    _record_nothing(engine.home)
    return engine


def refuse_shown_keys() -> None:
    """Refuse variables with which the engine shows keys.

    `Engine.environment` would leave out those of pulumi itself; who sets one expects to see a log.

    Raises:
        LabError: there are such variables.
    """
    try:
        require_quiet(os.environ)
    except UsageError as error:
        raise LabError(str(error)) from None


def _record_nothing(home: Path) -> None:
    """Keep the CLI from recording its runs in ``home``.

    It writes everything that it does, unredacted, to a file in ``PULUMI_HOME/logs``, encrypted with
    nothing but the stack's passphrase, which is empty here: 24 MB and half of the CLI's processor
    time for a preview of a thousand certificates. There is no setting against it, but where that
    directory cannot be made the CLI goes on without (pulumi 3.259.0, pkg/logging/encrypted.go,
    StartLogging, and its caller in pkg/cmd/pulumi/pulumi.go).
    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs)
    home.mkdir(parents=True, exist_ok=True)
    logs.write_text("A file in this place keeps pulumi from recording its runs here.\n")
