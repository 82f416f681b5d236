"""Fixtures of the integration tests: control planes, and stacks applied to them by the engine.

Tests that share control planes carry one ``xdist_group``, so that one worker runs them and they are
started once (``--dist loadgroup``). Each stack has its own namespaces and its own bundle name, and
so does not see the others on the same control plane.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.lab_fixtures import (
    Lab,
    control_plane,
    control_planes,
    lab,
    trust_manager_plane,
    vault_plane,
)
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault

__all__ = ["control_plane", "control_planes", "lab", "trust_manager_plane", "vault_plane"]

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def make_stack() -> Iterator[MakeStack]:
    """Create stacks, each in a directory of its own that is gone after the session.

    Not below pytest's own directory, which keeps the last three sessions: the states hold keys.
    """
    with tempfile.TemporaryDirectory(prefix="mtls-pki-stacks-") as root:
        made = 0

        def make(name: str, environment: Mapping[str, str] | None = None) -> Stack:
            nonlocal made
            made += 1
            return Stack(Path(root) / f"{made}-{name}", name, environment)

        yield make


@pytest.fixture(scope="session")
def plane(lab: Lab) -> ControlPlane:
    """The control plane of most stacks, with cert-manager and without trust-manager."""
    (plane,) = lab.up("stacks")
    return plane


@pytest.fixture(scope="session")
def api(plane: ControlPlane) -> Iterator[Api]:
    """The administrator of :func:`plane`."""
    with contextlib.closing(plane.api()) as administrator:
        yield administrator


@pytest.fixture(scope="session")
def dev_stack(plane: ControlPlane, make_stack: MakeStack) -> Stack:
    """The dev stack as it is committed, applied once; a test that changes it changes it back."""
    stack = make_stack("dev")
    kubeconfig = stack.project / stack.read()["clusters"]["dev"]["kubeconfig"]
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.symlink_to(plane.kubeconfig)
    stack.init()
    # With its preview, as a user runs it.
    stack.must("up", "--yes", "--stack", stack.name)
    return stack


@pytest.fixture(scope="session")
def vault(vault_plane: ControlPlane) -> Vault:
    """The Vault of :func:`vault_plane`; a test that seals or stops it brings it back."""
    return Vault(vault_plane)


@pytest.fixture(scope="session")
def vault_api(vault_plane: ControlPlane) -> Iterator[Api]:
    """The administrator of :func:`vault_plane`."""
    with contextlib.closing(vault_plane.api()) as administrator:
        yield administrator
