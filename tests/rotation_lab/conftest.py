"""Fixtures of the tests of a rotation: two control planes, and domains of trust over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack, make_stack
from tests.integration.lab_fixtures import Lab, lab
from tests.integration.support.vault import Vault
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet

__all__ = ["lab", "make_stack"]

MakeDomain = Callable[..., Domain]


@pytest.fixture(scope="session")
def planes(lab: Lab) -> tuple[ControlPlane, ControlPlane]:
    """Two control planes, ``east`` and ``west``; every domain here spans both or has the first."""
    east, west = lab.up("east", "west", with_=("node",))
    return east, west


@pytest.fixture(scope="session")
def make_domain(planes: tuple[ControlPlane, ControlPlane], make_stack: MakeStack) -> MakeDomain:
    """Create trust domains, each a stack with names of its own, not yet applied."""

    def make(name: str, *, clusters: int = 1, **sections: Any) -> Domain:
        return Domain(name, make_stack(name), planes[:clusters], **sections)

    return make


@pytest.fixture(scope="session")
def vault_plane(lab: Lab) -> ControlPlane:
    """A control plane with a Vault beside it."""
    (plane,) = lab.up("vault", with_=("vault", "node"))
    return plane


@pytest.fixture(scope="session")
def vault(vault_plane: ControlPlane) -> Vault:
    """The Vault beside the control plane of the domains that have one."""
    return Vault(vault_plane)


@pytest.fixture(scope="session")
def make_vault_domain(vault: Vault, vault_plane: ControlPlane, make_stack: MakeStack) -> MakeDomain:
    """Create trust domains whose stacks may use the Vault: their runs have a token for it."""

    def make(name: str, **sections: Any) -> Domain:
        stack = make_stack(name, {"VAULT_TOKEN": vault.root_token})
        return Domain(name, stack, (vault_plane,), **sections)

    return make


@pytest.fixture(scope="module")
def fleet(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Every service of the module's own ``domain``, running."""
    with Fleet(domain, tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.settle()
        yield fleet


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    """Names of generations that were not used yet."""
    return (f"g{number}" for number in itertools.count(2))
