"""A project whose commands a test runs, its cluster's API server, and what the commands print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_pki.clusters import local_clock
from tests.unit.clusters.api_server import address
from tests.unit.evidence.api import Api, served
from tests.unit.evidence.objects import HTTP_NOW, NOW
from tests.unit.stack_project import STACK, Project, Say


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project directory that is the current one."""
    monkeypatch.chdir(tmp_path)
    for variable in ("PULUMI_STACK", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return Project(tmp_path)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    """What was printed since the last call: standard output and standard error."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return read


@pytest.fixture
def api(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API server of the project's cluster, empty; this machine's clock is right by it."""
    monkeypatch.setattr(local_clock, "now", lambda: NOW)
    with served(Api(date=HTTP_NOW)) as server:
        kubeconfig = address(project.directory, server.url, name="dev").kubeconfig
        assert kubeconfig is not None
        project.write(STACK.replace("dev.kubeconfig", kubeconfig))
        yield server
