"""An istiod that keeps no CA: cert-manager signs for its workloads, and the anchors rotate.

Kubernetes' signing requests live for ten minutes at least, so the end of the rotation is seen as
the refusal that names them, and not waited for.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import toolchain
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.rotation_lab import istiod
from tests.rotation_lab.domain import HOLD_DOWN_SECONDS, Domain
from tests.rotation_lab.istiod import Istiod, verified

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-istio"),
    pytest.mark.timeout(600),
]

NAME = "registered"


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    """A cluster whose cert-manager signs Kubernetes' requests too, as behind its feature gate."""
    with lab.during(NAME, with_=("node",)) as plane:
        kubeconfig = plane.paths.secret("cert-manager.kubeconfig")
        program = str(toolchain.ensure("cert-manager")["cert-manager"])
        log = plane.paths.directory / "signing-requests.log"
        with (
            log.open("wb") as to,
            subprocess.Popen(
                [program, f"--kubeconfig={kubeconfig}", "--certificate-signing-requests"],
                stdout=to,
                stderr=to,
            ) as signing,
        ):
            try:
                yield plane
            finally:
                signing.terminate()


@pytest.fixture(scope="module")
def domain(make_stack: MakeStack, plane: ControlPlane) -> Domain:
    domain = Domain(
        NAME,
        make_stack(NAME),
        (plane,),
        issuing={
            "kind": "ClusterIssuer",
            "name": f"{NAME}-ca",
            "stable": True,
            "intermediate": {},
        },
        trust={
            "name": f"{NAME}-trust",
            "namespaces": [NAME, istiod.NAMESPACE],
            "createNamespaces": True,
            "holdDown": f"{HOLD_DOWN_SECONDS}s",
        },
        consumers={"istio": {"signer": "cert-manager", "workloadCertTtl": "10m"}},
    )
    domain.apply()
    return domain


@contextlib.contextmanager
def rolled_out(domain: Domain, plane: ControlPlane, directory: Path) -> Iterator[Istiod]:
    """istiod, started with the values that the stack says now."""
    values: dict[str, Any] = json.loads(
        domain.stack.must("stack", "output", "istioValues", "--json").output
    )[plane.name]
    istiod.prepare(plane, values)
    env = {**values["pilot"]["env"], "PILOT_CERT_PROVIDER": values["global"]["pilotCertProvider"]}
    with Istiod(plane, directory, env, values["meshConfig"]) as running:
        yield running


def test_a_rotation_of_a_mesh_without_a_ca_of_its_own(
    domain: Domain, plane: ControlPlane, tmp_path: Path
) -> None:
    trust_domain = domain.values["trustDomain"]
    with domain.api() as api:
        with rolled_out(domain, plane, tmp_path / "first") as running:
            istiod.wait_until_taken(api, 1)
            before, _ = running.sign("web", trust_domain)
            assert verified(before, domain.bundle())
            secrets = f"/api/v1/namespaces/{istiod.NAMESPACE}/secrets"
            assert not api.request("GET", secrets)["items"]
            domain.add("g2")
            domain.apply()
            domain.hold_down()
            # The bundles hold both, and the mesh does not: its configuration was not rolled out.
            with domain.edited():
                domain.promote()
                domain.refused(
                    domain.preview(), "istio-ca-root-cert", "roll out `pulumi stack output"
                )
        with rolled_out(domain, plane, tmp_path / "second") as running:
            istiod.wait_until_taken(api, 2)
            domain.hold_down()
            domain.promote()
            domain.apply()
            # The issuer of the same name signs below the other anchor; istiod goes on as it is.
            after, _ = running.sign("web", trust_domain)
            roots = next(iter(istiod.handed_out(api).values()))
            for chain in (before, after):
                assert verified(chain, roots)
            new = domain.roots()[domain.fingerprint("g2")]
            assert verified(after, new)
            assert not verified(before, new)
            domain.hold_down()
            domain.retire()
            domain.refused(domain.preview(), "workload certificates istiod", "g1")
