"""A running domain moves from each backend to each other one, killed on the way.

One control plane with every authority. The moves between ``ca`` and a Vault are those of
``test_vault_moves.py``; this is the way around all others, each once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import aws_pca, ports
from lab.control_plane import ControlPlane
from lab.state import load
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support.killing import up_killed_after
from tests.integration.support.vault import Vault
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.vault_mount import require_used, vault_section

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-moves"),
    pytest.mark.timeout(1800),
]

NAME = "touring"
WITH = ("node", "vault", "step-issuer", "step-ca", "aws-privateca-issuer", "aws-pca")
# From `ca`: each ordered pair of backends once, but those of `ca` and `vault`.
ROUTE = (
    *("step-ca", "vault", "aws-pca", "step-ca", "ca"),
    *("aws-pca", "vault", "step-ca", "aws-pca", "ca"),
)
SUFFIXES = {"ca": "", "vault": "-vault", "step-ca": "-step", "aws-pca": "-pca"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
# Fewer than any step saves, so that a kill comes before the end.
CHECKPOINTS = 4


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during(NAME, with_=WITH) as plane:
        with contextlib.closing(plane.api()) as api:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}}
            path = "/api/v1/namespaces/cert-manager/secrets/aws"
            api.apply_text(path, json.dumps({**secret, "stringData": CREDENTIALS}))
        yield plane


@pytest.fixture(scope="module")
def domain(make_stack: MakeStack, plane: ControlPlane) -> Domain:
    vault = Vault(plane)
    environment = {
        **CREDENTIALS,
        "VAULT_TOKEN": vault.root_token,
        "AWS_ENDPOINT_URL": aws_pca.endpoint(load(plane.paths.state).ports),
        "AWS_REGION": "eu-central-1",
    }
    domain = Domain(
        NAME,
        make_stack(NAME, environment),
        (plane,),
        issuing={
            "name": f"{NAME}-ca",
            "stable": True,
            "intermediate": {},
            "vault": vault_section(vault, NAME),
            "stepCa": {"namespace": NAME, "deploy": False},
            "awsPca": {"credentials": {"name": "aws", "namespace": "cert-manager"}},
        },
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [plane.name]}
            for number in range(2)
        },
    )
    domain.apply()
    return domain


class Killer:
    """Kills the first update of each kind of step to each backend."""

    def __init__(self) -> None:
        # Another one each time; say it, so that a failure can be had again.
        seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
        print(f"KILL_SEED={seed}")
        self._dice = random.Random(seed)  # noqa: S311
        self.killed: set[tuple[str, str]] = set()

    def apply(self, domain: Domain, step: str, backend: str) -> None:
        domain.stack.write(domain.values)
        if (step, backend) not in self.killed:
            checkpoints = self._dice.randint(1, CHECKPOINTS)
            if up_killed_after(domain.stack, checkpoints, self._dice) is None:
                self.killed.add((step, backend))
                domain.stack.must("cancel", "--yes", domain.name)
        domain.stack.up()


def add(domain: Domain, generation: str, backend: str) -> None:
    """Write an incoming anchor whose issuing CA a backend holds."""
    if backend == "aws-pca":
        done = domain.rotation("aws-pca", "create", generation)
        assert done.returncode == 0, done.stderr
        domain.values = domain.stack.read()
        return
    domain.add(generation, backend=backend)
    if backend == "step-ca":
        url = f"https://{ports.LOOPBACK}:{ports.choose(None, avoid=())}"
        domain.values["issuing"]["stepCa"].setdefault("urls", {})[generation] = url


def retire(domain: Domain) -> None:
    done = domain.rotation("retire")
    assert done.returncode == 0, done.stderr
    domain.values = domain.stack.read()


def test_from_each_backend_to_each_other(domain: Domain, tmp_path: Path) -> None:
    killer, route = Killer(), ("ca", *ROUTE)
    assert len(set(itertools.pairwise(route))) == len(ROUTE)
    with Fleet(domain, tmp_path) as fleet:
        fleet.settle()
        with fleet.without_failure() as handshakes:
            for number, backend in enumerate(ROUTE, start=2):
                add(domain, f"g{number}", backend)
                killer.apply(domain, "add", backend)
                domain.hold_down()
                with fleet.meeting():
                    domain.promote()
                    killer.apply(domain, "promote", backend)
                domain.hold_down()
                retire(domain)
                killer.apply(domain, "retire", backend)
        met = fleet.count(handshakes)
    used = (f"g{number}-i1{SUFFIXES[each]}" for number, each in enumerate(route, start=1))
    require_used(met, *used)
    assert domain.anchors_in_bundles() == {domain.fingerprint(f"g{len(route)}")}
    assert {step for step, _ in killer.killed} == {"add", "promote", "retire"}
    print(f"{len(killer.killed)} kills: {sorted(killer.killed)}")
