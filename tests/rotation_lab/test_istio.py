"""A mesh of two clusters whose real istiods sign below the anchor, through whole rotations."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.control_plane import ControlPlane
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import sources_of
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.prometheus import watching
from tests.integration.support.readers import shipped_reader
from tests.rotation_lab import istiod
from tests.rotation_lab.domain import HOLD_DOWN_SECONDS, Domain
from tests.rotation_lab.istiod import Istiod

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-istio"),
    pytest.mark.timeout(900),
]

NAME = "meshed"
TTL_SECONDS = 20
# ConfigMaps in the one cluster, a ClusterTrustBundle in the other.
HANDS_OUT: dict[str, dict[str, str]] = {
    "east": {},
    "west": {"ENABLE_CLUSTER_TRUST_BUNDLE_API": "true"},
}


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The domain, and the istiod of each of its clusters."""

    domain: Domain
    istiods: dict[str, Istiod]

    def taken(self, number: int) -> None:
        """Wait until every istiod hands out as many roots everywhere."""
        for each in self.istiods.values():
            with contextlib.closing(each.plane.api()) as api:
                istiod.wait_until_taken(api, number)

    def roots(self, name: str) -> str:
        with self.domain.api(name) as api:
            return next(iter(istiod.handed_out(api).values()))

    def workloads(self) -> dict[str, str]:
        """A new workload of each cluster: its chain."""
        trust_domain = self.domain.values["trustDomain"]
        return {name: each.sign("web", trust_domain)[0] for name, each in self.istiods.items()}

    def require_verified(self, chains: dict[str, str]) -> None:
        """Assert that each chain verifies under the roots of every cluster, by openssl."""
        for (name, chain), verifier in itertools.product(chains.items(), self.istiods):
            assert istiod.verified(chain, self.roots(verifier)), (name, verifier)


@pytest.fixture(scope="module")
def mesh(
    make_stack: MakeStack,
    planes: tuple[ControlPlane, ControlPlane],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mesh]:
    domain = Domain(
        NAME,
        make_stack(NAME),
        planes,
        trust={
            "name": f"{NAME}-trust",
            "namespaces": [NAME, istiod.NAMESPACE],
            "createNamespaces": True,
            "holdDown": f"{HOLD_DOWN_SECONDS}s",
        },
        consumers={"istio": {"workloadCertTtl": f"{TTL_SECONDS}s"}},
    )
    domain.apply()
    values: dict[str, Any] = json.loads(
        domain.stack.must("stack", "output", "istioValues", "--json").output
    )
    with contextlib.ExitStack() as running:
        istiods = {}
        for plane in planes:
            own = values[plane.name]
            istiod.prepare(plane, own)
            directory = tmp_path_factory.mktemp(plane.name)
            env = {**own["pilot"]["env"], **HANDS_OUT[plane.name]}
            process = Istiod(plane, directory, env, own["meshConfig"])
            istiods[plane.name] = running.enter_context(process)
        mesh = Mesh(domain=domain, istiods=istiods)
        mesh.taken(1)
        yield mesh


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    return (f"g{number}" for number in itertools.count(2))


def test_a_whole_rotation_of_the_mesh(mesh: Mesh, generations: Iterator[str]) -> None:
    domain, old, new = mesh.domain, mesh.domain.in_role("issuing"), next(generations)
    before = mesh.workloads()
    mesh.require_verified(before)
    assert "without ISTIO_MULTIROOT_MESH" not in domain.rotation("status").stdout

    domain.add(new)
    domain.apply()
    mesh.taken(2)
    mesh.require_verified(before)
    domain.hold_down()

    domain.promote()
    domain.apply()
    with domain.edited():
        domain.retire()
        domain.refused(
            domain.preview(), f"workload certificates istiod: chains to {old}", "time alone"
        )
    after = cluster.wait_for(lambda: signed_by(mesh, new), f"workloads under {new}")
    mesh.require_verified({**before, **after})

    domain.retire()
    cluster.wait_for(
        lambda: domain.preview().status == 0,
        "end of the last certificate",
        seconds=HOLD_DOWN_SECONDS + TTL_SECONDS + 60,
    )
    domain.apply()
    mesh.taken(1)
    mesh.require_verified(after)
    # A negative control: the chains of before are refused now.
    assert not any(
        istiod.verified(chain, mesh.roots(name))
        for chain, name in itertools.product(before.values(), mesh.istiods)
    )


def signed_by(mesh: Mesh, generation: str) -> dict[str, str] | None:
    """New workloads of all clusters once every istiod signs below ``generation``."""
    chains = mesh.workloads()
    with mesh.domain.api() as api:
        stage = cluster.config_map(api, "cert-manager", f"{NAME}-trust-stage")
    root = stage[f"{generation}.pem"].strip()
    return chains if all(root in chain for chain in chains.values()) else None


def test_an_istiod_that_lags_holds_back_every_cluster(
    mesh: Mesh, generations: Iterator[str], tmp_path: Path
) -> None:
    domain, new = mesh.domain, next(generations)
    with watching(domain.stack, tmp_path / "watch") as watch:
        watch.require_silence()
        mesh.istiods["west"].stop()
        domain.add(new)
        domain.apply()
        with domain.api("east") as api:
            istiod.wait_until_taken(api, 2)
        watch.require("MtlsIstiodBehind", cluster="west", generation=new)
        domain.hold_down()
        with domain.edited():
            domain.promote()
            said = domain.refused(
                domain.preview(),
                "west ClusterTrustBundle istio.io:istiod-ca:root-cert[trustBundle]: does not hold "
                f"{new}",
            )
        assert "east/default ConfigMap" not in said
        domain.stack.write(domain.values)
        mesh.istiods["west"].start()
        mesh.taken(2)
        watch.require_silence()
    del domain.anchors[new]
    domain.apply()
    mesh.taken(1)


def test_the_shipped_rights_are_enough_to_read_the_mesh(mesh: Mesh, tmp_path: Path) -> None:
    domain = mesh.domain
    with domain.edited():
        for name, plane in domain.planes.items():
            reader = shipped_reader(plane, tmp_path / name, "istio", bundle=domain.bundle_name)
            domain.values["clusters"][name] = {"kubeconfig": str(reader)}
        settings = domain.settings()
        cluster.wait_for(
            lambda: not collect_evidence(settings, sources=sources_of(settings)).unreachable,
            "rights",
        )
        evidence = collect_evidence(settings, sources=sources_of(settings))
    kinds = Counter(leaf.kind for leaf in evidence.leaves)
    assert kinds["workload certificates"] >= len(domain.planes)
