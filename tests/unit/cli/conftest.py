"""A project directory with a stack file, and API servers for its clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtls_pki.commands.main import main
from mtls_pki.registry import extensions
from mtls_pki.settings.stack_file.reading import StackFile, open_stack_file
from tests.unit.clusters.api_server import address
from tests.unit.evidence.api import Api, served
from tests.unit.evidence.objects import HTTP_NOW

PROJECT = "name: mtls-pki\nruntime: python\n"
# As a person writes it: comments, quotes, blocks and flows beside each other.
STACK = """\
# The dev stack.
config:
  mtls-pki:trustDomain: example.org
  mtls-pki:clusters:
    dev: {kubeconfig: dev.kubeconfig}
  mtls-pki:anchors:
    # the first root
    g1:
      role: issuing   # for now
      commonName: 'root.example.org'
      validFrom: 2026-11-01T00:00:00Z
      validFor: 87600h
      pathLength: 1
    # g2: {role: incoming}  an example that nobody removed

  # where trust goes
  mtls-pki:trust: {namespaces: [app], holdDown: "2m"}
  mtls-pki:issuing: {stable: true}
  mtls-pki:services:
    web: {namespace: app}
encryptionsalt: v1:abc=
"""


class Project:
    """A project directory that is the current one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "Pulumi.dev.yaml"
        (directory / "Pulumi.yaml").write_text(PROJECT)
        self.write(STACK)

    def write(self, text: str) -> None:
        with self.file.open("w", newline="") as file:
            file.write(text)

    def read(self) -> str:
        with self.file.open(newline="") as file:
            return file.read()

    def stack(self) -> StackFile:
        return open_stack_file(self.directory, None, {}, extensions())

    def run(self, *arguments: str) -> int:
        try:
            return main(arguments)
        except SystemExit as end:
            return int(end.code or 0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    for variable in ("PULUMI_STACK", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return Project(tmp_path)


@pytest.fixture
def api(project: Project) -> Iterator[Api]:
    """The API server of the project's cluster, empty."""
    with served(Api(date=HTTP_NOW)) as server:
        kubeconfig = address(project.directory, server.url, name="dev").kubeconfig
        assert kubeconfig is not None
        project.write(STACK.replace("dev.kubeconfig", kubeconfig))
        yield server


Say = Callable[[], tuple[str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    """What was printed since the last call: standard output and standard error."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return read
