"""One control plane, one engine and one stack, made for a measurement and gone after it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bench import configuration
from bench.sampling import Run, run
from lab.control_plane import ControlPlane
from lab.project_copy import copy_program
from lab.pulumi_cli import Engine, open_engine
from mtls_pki.engine.update import SKIP

STACK = "bench"
_SMALL_PROJECT = """
name: small
runtime:
  name: python
  options: {toolchain: pip, virtualenv: .venv}
"""
_BARE = """
import json
from pathlib import Path

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

declared = json.loads(Path("declared.json").read_text())
provider = Provider("cluster", kubeconfig=declared["kubeconfig"])
for each in declared["objects"]:
    CustomResource(
        each["metadata"]["name"],
        api_version=each["apiVersion"],
        kind=each["kind"],
        metadata=ObjectMetaArgs(**each["metadata"]),
        spec=each["spec"],
        opts=pulumi.ResourceOptions(provider=provider),
    )
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A stack of one Pulumi project, with the engine that runs it.

    Attributes:
        environment: of each of its commands, in addition to the engine's own.
        stack: its name.
    """

    engine: Engine
    stack: str = STACK
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> Run:
        """Run ``pulumi ARGUMENTS`` on the stack.

        Raises:
            BenchError: it failed.
        """
        command: list[str | Path] = [
            self.engine.pulumi,
            *arguments,
            "--stack",
            self.stack,
            "--non-interactive",
        ]
        return run(
            command,
            directory=self.engine.project,
            environment=self.engine.environment(self.environment),
        )

    def up(self) -> Run:
        """Apply the configuration.

        Without the preview with which `pulumi up --yes` begins: the guards run in the update too,
        and the tools that it is compared with have no preview.
        """
        return self.run("up", "--yes", "--skip-preview", "--suppress-outputs")

    def update(self) -> Run:
        """Apply the configuration by ``mtls-pki up``, with its preview."""
        return run(
            [
                *(sys.executable, "-m", "mtls_pki", "up", "--yes", "--suppress-outputs"),
                *("--stack", self.stack, "--non-interactive"),
            ],
            directory=self.engine.project,
            environment=self.engine.environment(self.environment),
        )

    def preview_of_changes(self) -> Run:
        """Preview a run in which something changes."""
        return self.run("preview", "--suppress-outputs")

    def preview(self) -> Run:
        """Preview a run in which nothing changes."""
        return self.run("preview", "--expect-no-changes", "--suppress-outputs")

    def state_bytes(self) -> int:
        """Return the size of the checkpoint as the backend stores it."""
        stacks = self.engine.backend / ".pulumi" / "stacks"
        return sum(
            path.stat().st_size for path in stacks.glob(f"*/{self.stack}.json*") if _counts(path)
        )

    def exported(self) -> Mapping[str, Any]:
        """Return the stack as `pulumi stack export` gives it; secrets stay encrypted."""
        exported: Mapping[str, Any] = json.loads(self.run("stack", "export").output)
        return exported

    @property
    def stack_file(self) -> Path:
        """Its configuration."""
        return self.engine.project / f"Pulumi.{self.stack}.yaml"

    def command(self, *arguments: str) -> Run:
        """Run ``mtls-pki ARGUMENTS`` on the stack.

        Raises:
            BenchError: it failed.
        """
        return run(
            [sys.executable, "-m", "mtls_pki", *arguments, "--stack", self.stack],
            directory=self.engine.project,
            environment={**os.environ, **self.environment},
        )

    def configure(self, values: Mapping[str, Any]) -> None:
        """Write the stack's configuration: the program's settings."""
        file = self.stack_file
        # What the engine wrote there itself: the salt of the stack's encryption.
        own = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        content = {**own, **configuration.stack_file(values)}
        file.write_text(yaml.safe_dump(content), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a measurement runs on.

    Attributes:
        plane: a fresh control plane with cert-manager.
        project: this checkout's program.
        empty: a program that declares nothing, on an engine and backend of the same kind.
        bare: one that declares what is in its file ``declared.json`` and does nothing else.
    """

    plane: ControlPlane
    project: Project
    empty: Project
    bare: Project

    def declare_bare(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Let the bare program declare these objects, which exist already, and apply it."""
        declared = {"kubeconfig": str(self.plane.kubeconfig), "objects": list(objects)}
        file = self.bare.engine.project / "declared.json"
        file.write_text(json.dumps(declared), encoding="utf-8")
        once = replace(self.bare, environment={SKIP: "true"})
        once.up()

    def settings(
        self, anchors: Mapping[str, str], count: int, hold_down: timedelta
    ) -> dict[str, Any]:
        """Return the program's settings; the arguments are those of `configuration.settings`."""
        return configuration.settings(
            cluster=self.plane.name,
            kubeconfig=str(self.plane.kubeconfig),
            anchors=anchors,
            count=count,
            hold_down=hold_down,
        )

    def configure(self, anchors: Mapping[str, str], count: int, hold_down: timedelta) -> None:
        """Write the stack's configuration; the arguments are those of `configuration.settings`."""
        self.project.configure(self.settings(anchors, count, hold_down))


@contextmanager
def scene(root: Path, name: str, with_: Iterable[str] = ()) -> Iterator[Scene]:
    """Make the scene ``name`` in ``root``, and remove the control plane when the block ends.

    ``with_`` are the add-ons of the control plane.

    Raises:
        LabError: a tool or the control plane cannot be had.
        BenchError: the stack cannot be made.
    """
    empty, bare = root / f"{name}-empty", root / f"{name}-bare"
    _small_program(empty, "")
    _small_program(bare, _BARE)
    with ControlPlane(root, name, with_=with_) as plane:
        project = make_project(root / f"{name}-program")
        yield Scene(plane=plane, project=project, empty=_opened(empty), bare=_opened(bare))


def make_project(
    directory: Path, *, stack: str = STACK, environment: Mapping[str, str] | None = None
) -> Project:
    """Make a stack of a copy of this checkout's program in ``directory``, which is made too.

    Two stacks of one cluster need two names: a stack is known there by its own.
    """
    copy_program(directory)
    return _opened(directory, stack=stack, environment=environment)


def _small_program(directory: Path, code: str) -> None:
    directory.mkdir(parents=True)
    (directory / "Pulumi.yaml").write_text(_SMALL_PROJECT, encoding="utf-8")
    (directory / "__main__.py").write_text(code, encoding="utf-8")
    (directory / ".venv").symlink_to(sys.prefix)


def _opened(
    directory: Path, *, stack: str = STACK, environment: Mapping[str, str] | None = None
) -> Project:
    """Make a stack of the project in ``directory``, on an engine and backend of its own."""
    engine = open_engine(directory, directory / ".engine")
    engine.select_stack(stack)
    return Project(engine=engine, stack=stack, environment=environment or {})


def _counts(path: Path) -> bool:
    """Whether it is a checkpoint: not its backup or the blob library's attributes."""
    return path.suffix not in (".bak", ".attrs")
