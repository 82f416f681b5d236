"""No run leaves a credential in the temporary directory, whoever started it, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.engine.kubeconfig_copies import content, copies
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated, small_stack
from tests.integration.support.killing import kill_session
from tests.integration.support.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "credentials"


class Plain:
    """A stack that a user drives by ``pulumi`` alone, with this temporary directory."""

    def __init__(self, stack: Stack, temporary: Path) -> None:
        self.stack = stack
        self.temporary = temporary
        self.environment = stack.engine.environment({"TMPDIR": str(temporary)})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.stack.engine.pulumi, *arguments, "--stack", NAME, "--non-interactive"],
            cwd=self.stack.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            output, _ = process.communicate()
        return process.returncode, output

    def must(self, *arguments: str) -> None:
        status, output = self.run(*arguments)
        assert status == 0, output

    def credentials(self) -> list[Path]:
        """The files with credentials in the temporary directory."""
        return with_credentials(self.temporary)

    def copies(self) -> list[Path]:
        """Those of them that the Kubernetes provider has made."""
        return list(self.temporary.glob("kubeconfig*"))

    def require_none(self) -> None:
        """What removes them does so when the engine has ended, which this does not wait for."""
        cluster.wait_for(lambda: not self.credentials(), f"end of credentials in {self.temporary}")


def with_credentials(directory: Path) -> list[Path]:
    """The files below a directory in which a client's key stands."""
    # `Path.rglob` fails where a directory is removed while it walks; `os.walk` passes over it.
    paths = (Path(folder, name) for folder, _, names in os.walk(directory) for name in names)
    return [
        path
        for path in paths
        if any(mark in _text(path) for mark in ("client-key-data", "PRIVATE KEY"))
    ]


def _text(path: Path) -> str:
    """What is in a file; nothing in one that is gone, or in a directory."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def plain(plane: ControlPlane, make_stack: MakeStack) -> Iterator[Plain]:
    stack = make_stack(NAME)
    stack.write(small_stack(NAME, plane.kubeconfig))
    stack.init()
    # An engine makes copies for the providers of the state alone where it runs no program.
    stack.up()
    with tempfile.TemporaryDirectory(prefix="mtls-pki-plain-") as temporary:
        yield Plain(stack, Path(temporary))


def too_early(values: dict[str, Any]) -> dict[str, Any]:
    """The configuration with an anchor that issues before it was in any bundle."""
    anchors = {"g1": generated("g1", NAME, role="outgoing"), "g2": generated("g2", NAME)}
    return {**values, "anchors": anchors}


def test_a_plain_run_of_pulumi_leaves_no_credential(plain: Plain) -> None:
    plain.must("preview")
    plain.require_none()
    plain.must("up", "--yes")
    plain.require_none()
    plain.must("refresh", "--yes", "--run-program")
    plain.require_none()
    values = plain.stack.read()
    plain.stack.write(too_early(values))
    status, output = plain.run("up", "--yes", "--skip-preview")
    plain.stack.write(values)
    assert status != 0
    assert "refused: " in output
    plain.require_none()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_engine_that_is_ended_in_the_middle_leaves_none(
    plain: Plain, number: signal.Signals
) -> None:
    with plain.start("up", "--yes", "--skip-preview") as running:
        try:
            cluster.wait_for(plain.copies, "a copy of the kubeconfig")
            # The engine alone. Its plugins and the program notice it within minutes.
            os.kill(running.pid, number)
            running.wait()
            cluster.wait_for(lambda: not plain.copies(), "no copy of the kubeconfig")
        finally:
            kill_session(running.pid)
            plain.run("cancel", "--yes")
    plain.require_none()


def test_without_the_program_the_engine_leaves_a_copy_and_with_it_none(plain: Plain) -> None:
    """The limit that SECURITY.md names, and the negative control of this file."""
    plain.must("refresh", "--yes", "--skip-preview")
    assert plain.credentials()
    for path in plain.credentials():
        path.unlink()
    plain.stack.write({**plain.stack.read(), "abandon": ["stack"]})
    plain.must("destroy", "--yes", "--run-program")
    plain.require_none()


# Not the same stack: here the engine runs as `make` and all tests run it.
def test_a_run_of_ours_leaves_no_credential(plane: ControlPlane, make_stack: MakeStack) -> None:
    name = "no-credentials"
    stack = make_stack(name)
    values = small_stack(name, plane.kubeconfig)
    stack.write(values)
    stack.init()
    assert stack.preview().status == 0
    assert left(stack, plane) == []
    stack.up()
    assert left(stack, plane) == []
    stack.write({**values, "issuing": {**values["issuing"], "name": "a name"}})
    assert stack.try_up().status != 0
    stack.write(values)
    assert left(stack, plane) == []
    stack.refresh()
    stack.write({**values, "abandon": ["stack"]})
    stack.up()
    assert stack.try_destroy().status == 0
    assert left(stack, plane) == []


def left(stack: Stack, plane: ControlPlane) -> list[Path]:
    """The credentials in the run's temporary directory, and copies in everybody's."""
    everywhere = copies(Path(tempfile.gettempdir()), [content(plane.kubeconfig)], since=0)
    return [*with_credentials(stack.engine.temporary), *everywhere]


def test_a_command_of_ours_leaves_no_credential(dev_stack: Stack, api: Api, tmp_path: Path) -> None:
    """With ``mtls-pki`` as the one that runs the engine, and nobody's TMPDIR but the user's."""
    environment = dev_stack.engine.environment({"TMPDIR": str(tmp_path)})
    environment["PATH"] = f"{dev_stack.engine.pulumi.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "mtls_pki", "review", "--stack", dev_stack.name],
        cwd=dev_stack.project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
