"""Fixtures of the tests of a rotation: two control planes, and domains of trust over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack, make_stack
from tests.integration.lab_fixtures import Lab, lab
from tests.rotation_lab.domain import Domain

__all__ = ["lab", "make_stack"]

MakeDomain = Callable[..., Domain]


@pytest.fixture(scope="session")
def planes(lab: Lab) -> tuple[ControlPlane, ControlPlane]:
    """Two control planes, ``east`` and ``west``; every domain here spans both or has the first."""
    east, west = lab.up("east", "west")
    return east, west


@pytest.fixture(scope="session")
def make_domain(planes: tuple[ControlPlane, ControlPlane], make_stack: MakeStack) -> MakeDomain:
    """Create trust domains, each a stack with names of its own, not yet applied."""

    def make(name: str, *, clusters: int = 1, **sections: Any) -> Domain:
        return Domain(name, make_stack(name), planes[:clusters], **sections)

    return make
