"""`mtls-pki drill` as a user runs it: a rotation, one that is stuck, and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.project_copy import CHECKOUT
from mtls_pki.exit_status import ExitStatus
from tests.integration.support.configuration import small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("drill")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a stack whose cluster cannot be reached from here."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    values = small_stack("drilled", Path("/nowhere/kubeconfig"), consumers={"nats": _NATS})
    config = {f"shop:{key}": value for key, value in values.items()}
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    return directory


PROJECT = ("Pulumi.yaml", "Pulumi.dev.yaml")
_NATS = {"servers": {"a": {"monitoring": "http://nats.example.org:8222", "cluster": "dev"}}}


def start(project: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mtls_pki", "drill", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left(said: str) -> list[str]:
    """What is left of a drill's directory, and processes that name it."""
    found = re.search(r"drill: in (\S+);", said)
    assert found is not None, said
    directory = Path(found[1])
    files = [str(each) for each in directory.rglob("*")]
    running = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line:
                running.append(line)
    return files + running


def test_a_drill_says_how_long_each_step_takes_and_who_would_break(project: Path) -> None:
    with start(project, "--format", "markdown", "--output", "drill.md") as process:
        _, said = process.communicate()
    assert process.returncode == ExitStatus.DONE, said
    page = (project / "drill.md").read_text()
    assert "The rotation came to its end" in page
    for step in ("mtls-pki add g2", "mtls-pki promote", "mtls-pki retire g1"):
        assert f"| `{step}` |" in page
    assert "unable to get local issuer certificate" in page
    assert "`consumers`" in page
    assert {each.name for each in project.iterdir()} == {"drill.md", *PROJECT}
    assert not left(said)


def test_a_step_that_does_not_become_safe_ends_the_drill(project: Path) -> None:
    with start(project, "--format", "markdown", "--patience", "1s") as process:
        page, said = process.communicate()
    assert process.returncode == ExitStatus.BLOCKED, said
    assert "did not come to its end" in page
    assert "Who kept the next step from being safe" in page
    assert not left(said)


def test_ctrl_c_removes_its_clusters(project: Path) -> None:
    with start(project) as process:
        assert process.stderr is not None
        first = ""
        for line in process.stderr:
            first += line
            if "API server ready" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == ExitStatus.INTERRUPTED, said
    assert not left(first + said)
    assert "Traceback" not in said
