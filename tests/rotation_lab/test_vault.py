"""Rotations of a domain whose issuing CAs a Vault holds, under load, also while the Vault is away.

All tests use one domain, one after the other in any order: each begins and ends with one anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from lab.control_plane import ControlPlane
from tests.integration.support.stack import Run
from tests.integration.support.vault import AuditEntry, Vault
from tests.integration.support.vault_stack import held_issuer
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.test_fleet import unguarded
from tests.rotation_lab.vault_mount import (
    apply_interrupted,
    expected,
    held,
    require_used,
    vault_section,
)

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-vault"),
    pytest.mark.timeout(900),
]

NAME = "held"
MOUNT = f"pki-{NAME}"
SERVICES = 4


@pytest.fixture(scope="module")
def domain(make_vault_domain: MakeDomain, vault_plane: ControlPlane, vault: Vault) -> Domain:
    """Four services of one cluster."""
    domain = make_vault_domain(
        NAME,
        issuing={
            "backend": "vault",
            "kind": "Issuer",
            "name": f"{NAME}-ca",
            "vault": vault_section(vault, NAME),
        },
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [vault_plane.name]}
            for number in range(SERVICES)
        },
    )
    domain.apply()
    return domain


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """How a Vault goes away in the middle of a run, and what is done about it after the run.

    Attributes:
        words: one of them stands in the message of a run that failed of it.
    """

    name: str
    begin: Callable[[Vault], None]
    end: Callable[[Vault], None]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _nothing(vault: Vault) -> None:
    """A restarted one is back already."""


INTERRUPTIONS = (
    Interruption(name="sealed", begin=Vault.seal, end=Vault.unseal, words=("is sealed",)),
    Interruption(
        name="restarted",
        begin=Vault.restart,
        end=_nothing,
        # It begins sealed.
        words=("cannot be reached", "is sealed"),
    ),
)


@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=str)
def test_a_rotation_whose_vault_goes_away_in_the_middle_of_each_stage(
    domain: Domain,
    fleet: Fleet,
    vault: Vault,
    generations: Iterator[str],
    interruption: Interruption,
) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    apply = partial(apply_in_two, domain, vault, interruption)
    with fleet.without_failure() as handshakes:
        assert held(vault, domain) == expected(domain, old, default=old, issuing=(old,))
        domain.add(new)
        # Its key is made, and there is no certificate for it yet.
        first = apply("update", f"{MOUNT}/intermediate/set-signed")
        assert first.status != 0 or interruption.name == "restarted"
        assert held(vault, domain) == expected(domain, old, new, default=old, issuing=(old,))
        domain.hold_down()
        with fleet.meeting():
            domain.promote()
            # The first leaf is being signed.
            apply("update", f"{MOUNT}/sign/{MOUNT}-{new}-i1")
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
        domain.remove(laggard)
        # The login is gone, and role, policy and issuing CA are still there.
        last = apply("delete", f"auth/{NAME}-kubernetes")
        assert last.status != 0 or interruption.name == "restarted"
        assert held(vault, domain) == expected(domain, new, default=new, issuing=(new,))
        domain.hold_down()
    require_used(fleet.count(handshakes), f"{old}-i1-vault", f"{new}-i1-vault")
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}


def apply_in_two(
    domain: Domain, vault: Vault, interruption: Interruption, operation: str, path: str
) -> Run:
    """Apply the configuration, with an interruption of the first ``up`` and a second one.

    Args:
        domain: the domain.
        vault: its Vault.
        interruption: what happens in the first ``up``.
        operation: of the request at which it happens, as the audit log spells it.
        path: how that request's path begins.

    Returns:
        the first run, which names the reason if it failed.
    """

    def reached(request: AuditEntry) -> bool:
        return request.operation == operation and request.path.startswith(path)

    run = apply_interrupted(domain, vault, at=reached, interrupt=lambda: interruption.begin(vault))
    interruption.end(vault)
    if run.status != 0:
        assert any(words in run.output for words in interruption.words), run.output
        assert "Traceback" not in run.output, run.output
        # Those whose request met a Vault that had let cert-manager log in a moment before.
        reissued = domain.rotation("reissue", "--failed")
        assert reissued.returncode == 0, reissued.stdout + reissued.stderr
    domain.apply()
    return run


def test_negative_control_the_same_swap_in_one_step_breaks_connections(
    domain: Domain, fleet: Fleet, vault: Vault, generations: Iterator[str]
) -> None:
    """What the other tests would show if the guard were worth nothing."""
    old, new = domain.in_role("issuing"), next(generations)
    del domain.anchors[old]
    domain.add(new, "issuing")
    domain.refused(domain.try_apply(), "never added and starts to issue in one update")
    domain.stack.must("state", "unprotect", "--all", "--yes", "--stack", domain.name)
    with fleet.counting() as handshakes, unguarded(domain):
        domain.apply()
        domain.hold_down()
    failures = fleet.count(handshakes).failures
    assert any("CERTIFICATE_VERIFY_FAILED" in (each.error or "") for each in failures)
    print(f"{len(failures)} of {len(handshakes)} failed")
    fleet.settle()
    # It was issuing until the end, and such an issuing CA stays in the Vault whatever happens.
    for each in ("i1", "root"):
        issuer_id = held_issuer(vault, MOUNT, f"{old}-{each}")["issuer_id"]
        vault.api("DELETE", f"{MOUNT}/issuer/{issuer_id}")
