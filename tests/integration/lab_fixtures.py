"""Real control planes for tests: started once a session, removed however the session ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from lab.control_plane import ControlPlane, up_all
from lab.guard import Guard
from lab.paths import Paths, existing
from mtls_pki.engine.kubeconfig_copies import content, copies, temporary_directory


class Lab:
    """The control planes of one test session; asked for by name, started at the first request."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def up(self, *names: str, with_: Iterable[str] = ()) -> tuple[ControlPlane, ...]:
        """The control planes ``names`` (which are their contexts too), ready, with these add-ons.

        Those that run already cost about a second; several start side by side.
        """
        addons = tuple(with_)
        planes = tuple(ControlPlane(self.root, name, with_=addons) for name in names)
        up_all(planes)
        return planes

    @contextlib.contextmanager
    def during(self, name: str, with_: Iterable[str] = ()) -> Iterator[ControlPlane]:
        """One control plane that runs inside alone: for what no other module uses.

        A machine has few inotify instances (128 for a user by default), and each control plane
        takes about ten.
        """
        (plane,) = self.up(name, with_=with_)
        try:
            yield plane
        finally:
            plane.down()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A place for control planes, which is empty again after the session, killed or not.

    After a session that was not killed, no copy of their kubeconfigs is anywhere else either.
    """
    # Not below pytest's own directory, which keeps the last three sessions, keys included.
    root = Path(tempfile.mkdtemp(prefix="mtls-pki-lab-"))
    guard = Guard(root)
    yield Lab(root)
    kubeconfigs = [content(Paths(root=root, name=name).kubeconfig) for name in existing(root)]
    left = list(copies(temporary_directory(os.environ), kubeconfigs, since=0))
    guard.release()
    assert not left, "the tests left copies of their kubeconfigs behind"


@pytest.fixture(scope="session")
def control_plane(lab: Lab) -> ControlPlane:
    """One control plane, ``dev``, with cert-manager."""
    (plane,) = lab.up("dev")
    return plane


@pytest.fixture(scope="session")
def control_planes(lab: Lab) -> tuple[ControlPlane, ...]:
    """Two independent control planes, ``dev`` and ``dev-2``, each with cert-manager."""
    return lab.up("dev", "dev-2")


@pytest.fixture(scope="session")
def trust_manager_plane(lab: Lab) -> ControlPlane:
    """The control plane ``dev`` with trust-manager too."""
    (plane,) = lab.up("dev", with_=("trust-manager",))
    return plane


@pytest.fixture(scope="session")
def vault_plane(lab: Lab) -> ControlPlane:
    """The control plane ``vault``, with cert-manager and a Vault server beside it."""
    (plane,) = lab.up("vault", with_=("vault",))
    return plane
