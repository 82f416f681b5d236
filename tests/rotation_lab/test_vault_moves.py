"""A running domain moves its issuing CA into a Vault and back, under load.

Both tests use one domain, in any order: each begins and ends with one anchor below which
cert-manager holds the issuing CA.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.control_plane import ControlPlane
from tests.integration.support import cluster
from tests.integration.support.vault import Vault
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.vault_mount import expected, held, require_used, vault_section

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-vault"),
    pytest.mark.timeout(900),
]

NAME = "moving"
SERVICES = 4
STABLE = f"{NAME}-ca"


@pytest.fixture(scope="module")
def domain(make_vault_domain: MakeDomain, vault_plane: ControlPlane) -> Domain:
    """Four services of one cluster, with a stable issuer; nothing names a Vault yet."""
    domain = make_vault_domain(
        NAME,
        issuing={"kind": "Issuer", "name": STABLE, "stable": True, "intermediate": {}},
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [vault_plane.name]}
            for number in range(SERVICES)
        },
    )
    domain.apply()
    return domain


def stable_issuer(domain: Domain) -> tuple[str, str]:
    """Uid of the stable issuer, which is Ready, and what signs for it: ``ca`` or ``vault``."""
    with domain.api() as api:
        path = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/issuers/{STABLE}"
        live = api.request("GET", path)
    assert cluster.is_ready(live), live
    (backend,) = live["spec"]
    return live["metadata"]["uid"], backend


def test_by_rotations_to_the_vault_and_back(
    domain: Domain, fleet: Fleet, vault: Vault, generations: Iterator[str]
) -> None:
    first, second, third = domain.in_role("issuing"), next(generations), next(generations)
    uid, backend = stable_issuer(domain)
    assert backend == "ca"
    with fleet.without_failure() as handshakes:
        domain.values["issuing"]["vault"] = vault_section(vault, NAME)
        _rotate(domain, fleet, second, backend="vault")
        assert stable_issuer(domain) == (uid, "vault")
        # The stable issuer logs in on its own.
        now = held(vault, domain)
        assert now.logins == {
            f"{STABLE}-{NAME}",
            f"{domain.issuer(second, vault=True)}-{NAME}",
        }
        wanted = expected(domain, second, default=second, issuing=(second,))
        assert (now.issuers, now.default, now.roles) == (
            wanted.issuers,
            wanted.default,
            wanted.roles,
        )
        _rotate(domain, fleet, third)
        assert stable_issuer(domain) == (uid, "ca")
    now = held(vault, domain)
    assert not {*now.issuers, *now.roles, *now.policies, *now.logins}
    met = fleet.count(handshakes)
    require_used(met, f"{first}-i1", f"{second}-i1-vault", f"{third}-i1")
    assert domain.anchors_in_bundles() == {domain.fingerprint(third)}


def test_under_the_same_anchor_to_the_vault_and_back(
    domain: Domain, fleet: Fleet, vault: Vault
) -> None:
    anchor, fingerprints = domain.in_role("issuing"), domain.anchors_in_bundles()
    uid, _ = stable_issuer(domain)
    issuing = domain.values["issuing"]
    with fleet.without_failure() as handshakes:
        issuing |= {"backend": "vault", "vault": vault_section(vault, NAME)}
        with fleet.meeting():
            domain.apply()
        domain.hold_down()
        assert stable_issuer(domain) == (uid, "vault")
        assert held(vault, domain).issuers == {f"{anchor}-i1", f"{anchor}-root"}
        # What issues is protected; it leaves the Vault only if that was said before.
        issuing["vault"]["protect"] = False
        domain.apply()
        issuing["backend"] = "ca"
        with fleet.meeting():
            domain.apply()
        domain.hold_down()
        assert stable_issuer(domain) == (uid, "ca")
        assert held(vault, domain).issuers == set()
    require_used(fleet.count(handshakes), f"{anchor}-i1", f"{anchor}-i1-vault")
    assert domain.anchors_in_bundles() == fingerprints


def _rotate(domain: Domain, fleet: Fleet, new: str, **fields: str) -> None:
    """A whole rotation to the anchor ``new``."""
    domain.add(new, **fields)
    domain.apply()
    domain.hold_down()
    with fleet.meeting():
        domain.promote()
        domain.apply()
    domain.hold_down()
    domain.retire()
    domain.apply()
