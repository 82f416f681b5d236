"""Rotations of a domain whose issuing CAs a Vault holds, under load, also while the Vault is away.

All tests use one domain, one after the other in any order: each begins and ends with one anchor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from lab.control_plane import ControlPlane
from tests.integration.support.vault import Vault
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.test_fleet import require_all_met
from tests.rotation_lab.vault_mount import expected, held, vault_section

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-vault"),
    pytest.mark.timeout(900),
]

NAME = "sealed"
SERVICES = 4
# Of an `up` that waits for a Vault that is away; with it at hand a leaf takes a second.
READY_SECONDS = 20


@pytest.fixture(scope="module")
def domain(make_vault_domain: MakeDomain, vault_plane: ControlPlane, vault: Vault) -> Domain:
    """Four services of one cluster."""
    domain = make_vault_domain(
        NAME,
        issuing={
            "backend": "vault",
            "kind": "Issuer",
            "name": f"{NAME}-ca",
            "readyTimeout": f"{READY_SECONDS}s",
            "vault": vault_section(vault, NAME),
        },
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [vault_plane.name]}
            for number in range(SERVICES)
        },
    )
    domain.apply()
    return domain


@pytest.fixture(scope="module")
def fleet(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Every service of the domain, running."""
    with Fleet(domain, tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.settle()
        yield fleet


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    """Names of generations that were not used yet."""
    return (f"g{number}" for number in itertools.count(2))


def test_a_whole_rotation_moves_the_mount_with_it(
    domain: Domain, fleet: Fleet, vault: Vault, generations: Iterator[str]
) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure() as handshakes:
        assert held(vault, domain) == expected(domain, old, default=old, issuing=(old,))
        domain.add(new)
        domain.apply()
        assert held(vault, domain) == expected(domain, old, new, default=old, issuing=(old,))
        domain.hold_down()
        domain.promote()
        domain.apply()
        promoted = expected(domain, old, new, default=new, issuing=(old, new))
        assert held(vault, domain) == promoted
        laggard = domain.certificate("laggard", domain.issuer(old, vault=True))
        domain.hold_down()
        domain.retire()
        domain.refused(
            domain.try_apply(),
            f"Certificate laggard: chains to {old}",
            f"issuer Issuer/{domain.issuer(old, vault=True)}",
        )
        assert held(vault, domain) == promoted
        domain.delete(laggard)
        domain.apply()
        assert held(vault, domain) == expected(domain, new, default=new, issuing=(new,))
        domain.hold_down()
    require_all_met(fleet.count(handshakes), f"{old}-i1-vault", f"{new}-i1-vault")
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}
