"""Trust distributed by the real trust-manager, for anchors that the stack makes itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.bundle import render_bundle
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds, blocks
from tests.integration.support.configuration import generated, small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("prod")]

NAMESPACES = ("distributed", "distributed-too")


@pytest.fixture(scope="module")
def plane(lab: Lab) -> ControlPlane:
    """One of the prod tests' control planes, since it has trust-manager."""
    (plane,) = lab.up("prod-eu", with_=("trust-manager",))
    return plane


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(plane.api()) as administrator:
        yield administrator


def test_a_new_anchor_reaches_every_namespace_and_leaves_them_again(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    trust = {"via": "trust-manager", "namespaces": list(NAMESPACES)}
    values = small_stack("distributed", plane.kubeconfig, trust=trust)
    stack = make_stack("distributed")
    stack.write(values)
    stack.init()
    stack.up()
    (root,) = _distributed(api)

    values["anchors"]["g2"] = generated("g2", "distributed", role="incoming")
    stack.write(values)
    assert stack.up().changes == {
        "g2-key": "create",
        "g2-i1-key": "create",
        "dev-gate": "update",
        "dev-distributed-trust": "update",
    }
    both = _distributed(api)
    assert root in both
    assert len(both) == 2
    # trust-manager sorts as this project does, and leaves out the last newline.
    bundle = cluster.config_map(api, NAMESPACES[0], "distributed-trust")["ca.crt"]
    assert bundle == render_bundle(both).rstrip()
    chain = cluster.secret(api, "distributed", "web-tls")["tls.crt"]
    assert_chain_holds(chain, bundle, "web.distributed.svc.cluster.local")

    # Giving up is the same change backwards: no leaf hangs on g2.
    del values["anchors"]["g2"]
    stack.write(values)
    stack.up()
    assert _distributed(api) == [root]
    assert stack.up().changes == {}


def _distributed(api: Api) -> list[str]:
    """The roots in the bundle, which is the same in every namespace.

    `up` has waited for Synced, so this waits for nothing.
    """
    texts = {cluster.config_map(api, name, "distributed-trust")["ca.crt"] for name in NAMESPACES}
    (text,) = texts
    return blocks(text)
