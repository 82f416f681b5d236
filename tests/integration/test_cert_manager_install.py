"""cert-manager installed by the stack: the real chart, from a directory on disk, by the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from lab import toolchain
from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.kubelet import kubelet, strip, webhook_host

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("prod")]


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    """A control plane with nothing of cert-manager in it."""
    (plane,) = lab.up("bare")
    with contextlib.closing(plane.api()) as api:
        strip(plane, api)
        path = "/api/v1/namespaces/cert-manager"
        cluster.wait_for(lambda: not api.exists(path), "end of the namespace")
    yield plane
    plane.down(purge=True)


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(plane.api()) as administrator:
        yield administrator


def test_one_up_installs_cert_manager_and_issues_the_first_certificates(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    # Two values of one's own, laid over the safe ones: one is new, one is beside them.
    values = {
        "webhook": {"url": {"host": webhook_host(plane)}},
        "global": {"commonLabels": {"team": "platform"}},
    }
    chart = {
        "chart": str(toolchain.share("cert-manager") / "chart"),
        "version": "v1.21.1",
        "values": values,
    }
    stack = make_stack("installed")
    stack.write(
        small_stack(
            "installed", plane.kubeconfig, certManager={"install": True, "certManager": chart}
        )
    )
    stack.init()
    with kubelet(plane):
        run = stack.up()
        deployments = api.request("GET", "/apis/apps/v1/namespaces/cert-manager/deployments")
        live = cluster.certificates(api, "installed")
        again = stack.up()
    assert set(live) == {"web", "db"}
    assert all(cluster.is_ready(each) for each in live.values())

    names = {each["metadata"]["name"] for each in deployments["items"]}
    assert names == {"cert-manager", "cert-manager-cainjector", "cert-manager-webhook"}
    assert {each["metadata"]["labels"]["team"] for each in deployments["items"]} == {"platform"}
    # The safe values hold beside them: no start-up job, leader election in its own namespace.
    assert cluster.names(api, "/apis/batch/v1/namespaces/cert-manager/jobs") == set()
    leases = "/apis/rbac.authorization.k8s.io/v1/namespaces/cert-manager/roles"
    assert "cert-manager:leaderelection" in cluster.names(api, leases)

    order = list(run.steps)
    crds = [name for name in order if name.endswith(".cert-manager.io")]
    first = min(order.index(name) for name in order if name.startswith("dev/installed/web"))
    assert crds
    assert all(order.index(crd) < first for crd in crds)
    assert again.changes == {}
