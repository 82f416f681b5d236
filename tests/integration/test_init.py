"""A project of one's own: the wheel and `mtls-pki init`, and no checkout anywhere."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.pulumi_cli import Engine, open_engine
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.wheel import build_wheel, install_alone

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("init")]

STACK = "own"
NAMESPACE = "own-project"


@pytest.fixture(scope="module")
def own_plane(lab: Lab) -> ControlPlane:
    """One of its own, since a new project has the names that every stack begins with."""
    (plane,) = lab.up("own")
    return plane


@pytest.fixture(scope="module")
def own_api(own_plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(own_plane.api()) as administrator:
        yield administrator


@pytest.fixture(scope="module")
def engine(own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine of a new project, in whose environment the program comes from the wheel."""
    root = tmp_path_factory.mktemp("own")
    environment = install_alone(build_wheel(root / "wheel"), root / "environment")
    options = ("--stack", STACK, "--trust-domain", "own.example.org", "--kubeconfig")
    made = subprocess.run(
        [environment / "bin/mtls-pki", "init", "trust", *options, own_plane.kubeconfig],
        cwd=root,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "pulumi preview --stack own" in made.stdout
    project = root / "trust"
    (project / ".venv").symlink_to(environment)
    engine = open_engine(project, root / "engine")
    done = engine.run("stack", "init", STACK)
    assert done.returncode == 0, done.stderr
    return engine


def test_its_preview_runs(engine: Engine) -> None:
    done = engine.run("preview", "--show-sames", "--stack", STACK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mtls-pki:index:TrustAnchor" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_service_that_is_added_gets_its_certificate(engine: Engine, own_api: Api) -> None:
    stack_file: Path = engine.project / f"Pulumi.{STACK}.yaml"
    text = stack_file.read_text(encoding="utf-8")
    text = text.replace("namespaces: [default]", f"namespaces: [{NAMESPACE}]\n    name: own-trust")
    text = text.replace("services: {}", f"services: {{web: {{namespace: {NAMESPACE}}}}}")
    text = text.replace("    intermediate:", "    kind: Issuer\n    intermediate:")
    text = text.replace("    name: own-trust", "    name: own-trust\n    createNamespaces: true")
    stack_file.write_text(text, encoding="utf-8")
    done = engine.run("up", "--yes", "--stack", STACK)
    assert done.returncode == 0, done.stdout + done.stderr
    (certificate,) = cluster.certificates(own_api, NAMESPACE).values()
    assert cluster.is_ready(certificate)
    status = subprocess.run(
        [engine.project / ".venv/bin/mtls-pki", "status", "--stack", STACK],
        cwd=engine.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 0, status.stderr
    assert "own.example.org: steady, one anchor, nothing under way" in status.stdout
