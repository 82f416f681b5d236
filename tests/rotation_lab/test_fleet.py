"""Rotations under load: eight workloads in two clusters, and not one failed handshake.

All tests use one domain, one after the other in any order: each begins and ends with one anchor.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Count, Fleet

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-fleet"),
    pytest.mark.timeout(900),
]

NAME = "fleet"


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    """Four services in each of two clusters."""
    services: dict[str, Any] = {
        f"{cluster}-{number}": {"namespace": NAME, "clusters": [cluster]}
        for cluster in ("east", "west")
        for number in range(4)
    }
    domain = make_domain(NAME, clusters=2, services=services)
    domain.apply()
    return domain


def test_a_whole_rotation(domain: Domain, fleet: Fleet, generations: Iterator[str]) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure() as handshakes:
        domain.add(new)
        domain.apply()
        domain.hold_down()
        domain.promote()
        domain.apply()
        domain.hold_down()
        domain.retire()
        domain.apply()
        domain.hold_down()
    # Leaves of both met, in both directions, so the order of the steps was put to the test.
    require_all_met(fleet.count(handshakes), issuing_ca(domain, old), issuing_ca(domain, new))
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}


def test_a_canary_moves_first(domain: Domain, fleet: Fleet, generations: Iterator[str]) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure() as handshakes:
        domain.add(new)
        domain.apply()
        domain.hold_down()
        domain.values["services"]["east-0"]["anchor"] = new
        domain.apply()
        fleet.settle()
        domain.hold_down()
        domain.promote()
        domain.apply()
        del domain.values["services"]["east-0"]["anchor"]
        domain.apply()
        domain.hold_down()
        domain.retire()
        domain.apply()
        domain.hold_down()
    require_all_met(fleet.count(handshakes), issuing_ca(domain, old), issuing_ca(domain, new))
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}


def test_a_rotation_that_is_given_up(
    domain: Domain, fleet: Fleet, generations: Iterator[str]
) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    steady = copy.deepcopy(domain.anchors)
    with fleet.without_failure() as handshakes:
        domain.add(new)
        added = copy.deepcopy(domain.anchors)
        domain.apply()
        domain.hold_down()
        domain.promote()
        domain.apply()
        # The commits are reverted, the last one first.
        domain.values["anchors"] = added
        domain.apply()
        domain.hold_down()
        domain.values["anchors"] = steady
        domain.apply()
        domain.hold_down()
    require_all_met(fleet.count(handshakes), issuing_ca(domain, old), issuing_ca(domain, new))
    assert domain.anchors_in_bundles() == {domain.fingerprint(old)}


def test_an_issuing_ca_rotates_alone(domain: Domain, fleet: Fleet) -> None:
    anchor, fingerprints = domain.in_role("issuing"), domain.anchors_in_bundles()
    intermediate = domain.values["issuing"]["intermediate"]
    before = intermediate.get("generation", "i1")
    after = f"i{int(before[1:]) + 1}"
    with fleet.without_failure() as handshakes:
        intermediate["generation"] = after
        run = domain.apply()
        domain.hold_down()
    require_all_met(fleet.count(handshakes), f"{anchor}-{before}", f"{anchor}-{after}")
    assert domain.anchors_in_bundles() == fingerprints
    bundles = {f"{name}-{domain.bundle_name}-{domain.name}" for name in domain.planes}
    assert bundles <= run.steps.keys()
    assert not bundles & run.changes.keys()


def test_negative_control_the_same_swap_in_one_step_breaks_connections(
    domain: Domain, fleet: Fleet, generations: Iterator[str]
) -> None:
    """What the other tests would show if the guard were worth nothing."""
    new = next(generations)
    del domain.anchors[domain.in_role("issuing")]
    domain.add(new, "issuing")
    domain.refused(domain.try_apply(), "never added and starts to issue in one update")
    # By force means past the protection of the issuing anchor's key too.
    domain.stack.must("state", "unprotect", "--all", "--yes", "--stack", domain.name)
    with fleet.counting() as handshakes, unguarded(domain):
        domain.apply()
        domain.hold_down()
    failures = fleet.count(handshakes).failures
    assert failures
    assert any("CERTIFICATE_VERIFY_FAILED" in (each.error or "") for each in failures)
    print(
        f"{len(failures)} of {len(handshakes)} failed: {Counter(each.error for each in failures)}"
    )
    # It was the transition that broke them: with one anchor everywhere all is well.
    fleet.settle()


def issuing_ca(domain: Domain, generation: str) -> str:
    """Return what leaves under this anchor say of their issuer: ``g2-i1``."""
    return f"{generation}-{domain.values['issuing']['intermediate'].get('generation', 'i1')}"


def require_all_met(count: Count, old: str, new: str) -> None:
    """Assert that leaves of both issuing CAs were clients and servers of each other."""
    met = count.generations
    assert all(met[client, server] for client in (old, new) for server in (old, new)), met


@contextlib.contextmanager
def unguarded(domain: Domain) -> Iterator[None]:
    """Let the domain's copy of the program run without its guard."""
    guard = domain.stack.project / "mtls_pki" / "rotation" / "verdict.py"
    text = guard.read_text()
    refusing = "return not self.refusals"
    assert refusing in text
    guard.write_text(text.replace(refusing, "return True"))
    try:
        yield
    finally:
        guard.write_text(text)
