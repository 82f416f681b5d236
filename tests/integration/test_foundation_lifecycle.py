"""What a user does with a stack at its ends: a run that is killed, and the end of the stack."""

from __future__ import annotations

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.configuration import small_stack
from tests.integration.support.killing import kill_session, suspend_session

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]


@pytest.mark.parametrize("by", ["up", "program"])
def test_destroy_is_refused_and_works_for_a_stack_that_is_abandoned(
    plane: ControlPlane, api: Api, make_stack: MakeStack, by: str
) -> None:
    name = f"ended-by-{by}"
    stack = make_stack(name)
    # Directly under the root, by a ClusterIssuer: the other shape of a stack.
    issuing = {"kind": "ClusterIssuer", "direct": True, "name": f"{name}-ca"}
    values = small_stack(name, plane.kubeconfig, issuing=issuing)
    stack.write(values)
    stack.init()
    stack.up()
    chain = cluster.secret(api, name, "web-tls")["tls.crt"]
    bundle = cluster.config_map(api, name, f"{name}-trust")["ca.crt"]
    assert_chain_holds(chain, bundle, f"web.{name}.svc.cluster.local")
    before = cluster.settled_snapshot(api)

    for options in ((), ("--skip-preview",)):
        refused = stack.try_destroy(*options)
        assert refused.status != 0
        assert "--run-program" in refused.output
    refused = stack.try_destroy("--run-program", "--skip-preview")
    assert refused.status != 0
    assert "abandon: [stack]" in refused.output
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()

    stack.write({**values, "abandon": ["stack"]})
    if by == "up":
        assert stack.up().changes == {}
        destroyed = stack.try_destroy()
    else:
        destroyed = stack.try_destroy("--run-program")
    assert destroyed.status == 0, destroyed.output
    # Requests go with their Certificates, whenever the garbage collector comes to it.
    left = {p for p in cluster.snapshot(api) if name in p and "/certificaterequests/" not in p}
    # The namespace stays, with what cert-manager and the control plane itself wrote there.
    inside = f"/api/v1/namespaces/{name}"
    assert left == {
        f"/api/v1/namespaces/{name}",
        f"{inside}/configmaps/kube-root-ca.crt",
        f"{inside}/serviceaccounts/default",
        f"{inside}/secrets/web-tls",
        f"{inside}/secrets/db-tls",
    }


def test_an_up_that_is_killed_in_the_middle_is_resumed_and_doubles_nothing(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    stack = make_stack("killed")
    services = {f"s{number}": {"namespace": "killed"} for number in range(24)}
    stack.write(small_stack("killed", plane.kubeconfig, services=services))
    stack.init()
    # Two at a time: the last is a good way off when the third is there.
    running = stack.start_up("--parallel", "2")
    try:
        cluster.wait_for(lambda: len(cluster.certificates(api, "killed")) >= 3, "certificates")
    finally:
        kill_session(running.pid)
        running.wait()
    assert len(cluster.certificates(api, "killed")) < len(services), "it was not in the middle"

    # docs/operations.md, "A run that was killed".
    locked = stack.try_up()
    assert locked.status != 0
    assert "pulumi cancel" in locked.output
    stack.must("cancel", "--yes", "killed")
    stack.refresh("--clear-pending-creates")
    resumed = stack.up()
    assert "pending operations" not in resumed.output

    live = cluster.certificates(api, "killed")
    assert set(live) == set(services)
    assert all(cluster.is_ready(each) for each in live.values())
    issuers = cluster.names(api, f"{cluster.CERT_MANAGER}/namespaces/killed/issuers")
    assert issuers == {"killed-ca-g1-i1"}
    # One anchor vouches for those of before and after.
    bundle = cluster.config_map(api, "killed", "killed-trust")["ca.crt"]
    for name in ("s0", "s23"):
        chain = cluster.secret(api, "killed", f"{name}-tls")["tls.crt"]
        assert_chain_holds(chain, bundle, f"{name}.killed.svc.cluster.local")
    assert stack.up().changes == {}


def test_make_up_goes_on_by_itself_after_a_run_that_was_killed(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    stack = make_stack("revived")
    stack.write(small_stack("revived", plane.kubeconfig))
    stack.init()
    locks = stack.engine.backend / ".pulumi/locks"
    running = stack.start_up("--parallel", "1")
    try:
        cluster.wait_for(lambda: len(cluster.certificates(api, "revived")) >= 1, "certificate")
        suspend_session(running.pid)
        held = list(locks.rglob("*.json"))
        assert held, "it was not in the middle"
        # While it runs, however slowly, nobody takes its lock away.
        stack.engine.select_stack("revived")
        assert list(locks.rglob("*.json")) == held
    finally:
        kill_session(running.pid)
        running.wait()
    stack.engine.select_stack("revived")
    resumed = stack.up()
    assert "pending operations" not in resumed.output
    assert all(cluster.is_ready(each) for each in cluster.certificates(api, "revived").values())
