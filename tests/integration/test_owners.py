"""One owner of each object: what is renamed moves, and what is somebody else's is left alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.stack import Run, Stack
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("owners")]

ISSUERS = f"{cluster.CERT_MANAGER}/clusterissuers"
GATE = "/api/v1/namespaces/cert-manager/configmaps/mesh-trust-stage"
CA_SECRET = "/api/v1/namespaces/cert-manager/secrets/mtls-ca-g1-i1"  # noqa: S105 a path
BUNDLE = "/api/v1/namespaces/shop/configmaps/mesh-trust"
CERTIFICATE = f"{cluster.CERT_MANAGER}/namespaces/shop/certificates/web"
OBJECTS = (
    "/api/v1/namespaces/shop",
    GATE,
    BUNDLE,
    f"{ISSUERS}/mtls-ca-g1-i1",
    CA_SECRET,
    CERTIFICATE,
)


@pytest.fixture(scope="module")
def own_plane(lab: Lab) -> ControlPlane:
    """One of its own, since the stacks have the names that every stack begins with."""
    (plane,) = lab.up("owners")
    return plane


@pytest.fixture(scope="module")
def api(own_plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(own_plane.api()) as administrator:
        yield administrator


def configured(plane: ControlPlane, domain: str, namespace: str, service: str) -> dict[str, Any]:
    return {
        "trustDomain": f"{domain}.example.org",
        "clusters": {"dev": {"kubeconfig": str(plane.kubeconfig)}},
        "anchors": {
            "g1": {
                "role": "issuing",
                "commonName": f"root.{domain}.example.org",
                "validFrom": "2026-11-01T00:00:00Z",
                "validFor": "87600h",
            }
        },
        "trust": {"namespaces": [namespace], "createNamespaces": True, "holdDown": "1s"},
        "services": {service: {"namespace": namespace}},
    }


@pytest.fixture(scope="module")
def first(own_plane: ControlPlane, make_stack: MakeStack) -> Stack:
    """A stack with the names that are defaults."""
    stack = make_stack("first")
    stack.write(configured(own_plane, "mesh", "shop", "web"))
    stack.init()
    stack.up()
    return stack


def metadata(api: Api, path: str) -> dict[str, Any]:
    found: dict[str, Any] = api.request("GET", path)["metadata"]
    return found


def identities(api: Api) -> dict[str, str]:
    return {path: metadata(api, path)["uid"] for path in OBJECTS}


def only_changes(run: Run, *allowed: str) -> None:
    assert run.status == 0, run.output
    assert set(run.changes.values()) <= set(allowed), run.changes


def refused(stack: Stack, *said: str) -> None:
    """Preview, update and `check` say the same, and nothing is made."""
    runs = [stack.preview(), stack.try_up()]
    for run in runs:
        assert run.status != 0, run.output
        assert "Traceback" not in run.output
    check = stack.rotation("check")
    assert check.returncode == 3, check.stdout + check.stderr
    for output in (*(run.output for run in runs), check.stdout + check.stderr):
        for text in said:
            assert text in " ".join(output.split()), output


def test_every_object_names_its_owner(api: Api, first: Stack) -> None:
    for path in OBJECTS:
        annotations = metadata(api, path)["annotations"]
        assert annotations["mtls-pki/owner"] == "mtls-pki/first", path
        assert annotations["mtls-pki/trust-domain"] == "mesh.example.org", path
        assert annotations["mtls-pki/urn"].startswith("kubernetes:"), path
    assert first.up().changes == {}


def test_the_key_of_a_service_changes_and_its_certificate_stays(api: Api, first: Stack) -> None:
    before = identities(api)
    values = first.read()
    first.write({**values, "services": {"frontend": {"namespace": "shop", "name": "web"}}})
    assert first.preview().changes == {}
    assert first.up().changes == {}
    assert identities(api) == before
    first.write(values)
    assert first.up().changes == {}


def call(stack: Stack, name: str, **more: str) -> None:
    values = stack.read()
    (reach,) = values["clusters"].values()
    reach.pop("formerly", None)
    stack.write({**values, "clusters": {name: {**reach, **more}}})


def test_a_renamed_cluster_keeps_everything(api: Api, first: Stack) -> None:
    before = identities(api)
    for name in ("lab", "prod"):
        call(first, name)
        seen = first.preview()
        only_changes(seen, "update")
        assert f"is called {name} now" in " ".join(seen.output.split())
        only_changes(first.up(), "update")
        assert identities(api) == before
        assert first.up().changes == {}
    # The record remembers all of them, so that the way back is the same way.
    assert metadata(api, GATE)["annotations"]["mtls-pki/cluster-names"] == "prod lab dev"
    call(first, "dev")
    only_changes(first.up(), "update")
    assert identities(api) == before
    assert first.rotation("check").returncode == 0


def test_what_a_run_that_was_killed_has_made_is_its_own(api: Api, first: Stack) -> None:
    """The object is there, and the state does not have it."""
    for name in ("dev/shop/web", "dev-mesh-trust-shop"):
        (urn,) = (
            line.split()[-1]
            for line in first.must("stack", "--show-urns", "--stack", "first").output.splitlines()
            if line.strip().endswith(f"::{name}")
        )
        first.must("state", "delete", urn, "--yes", "--stack", "first")
    before = identities(api)
    run = first.up()
    assert run.changes == {"dev/shop/web": "create", "dev-mesh-trust-shop": "create"}
    assert identities(api) == before


def test_namespaces_stay_when_they_are_no_longer_created(api: Api, first: Stack) -> None:
    api.request(
        "POST",
        "/api/v1/namespaces/shop/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-another-team"}},
    )
    before = identities(api)
    values = first.read()
    first.write({**values, "trust": {**values["trust"], "createNamespaces": False}})
    first.up()
    assert "deletionTimestamp" not in metadata(api, "/api/v1/namespaces/shop")
    assert metadata(api, "/api/v1/namespaces/shop/configmaps/of-another-team")
    assert identities(api) == before
    first.write(values)
    first.up()
    assert identities(api) == before


def test_two_stacks_in_one_cluster(
    api: Api, own_plane: ControlPlane, first: Stack, make_stack: MakeStack
) -> None:
    """The second has a bundle of its own, and first the name of issuers that is the default."""
    before, mine = cluster.settled_snapshot(api), identities(api)
    second = make_stack("second")
    values = configured(own_plane, "pay", "pay", "till")
    values["trust"]["name"] = "pay-trust"
    second.write(values)
    second.init()
    refused(
        second,
        "owned by mtls-pki/first",
        "(trust domain mesh.example.org)",
        "dev ClusterIssuer mtls-ca-g1-i1",
        "issuing.name",
    )
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()

    # With names of its own both live side by side.
    issuing = {"name": "pay-ca", "secretName": "pay-root"}
    second.write({**values, "issuing": issuing})
    second.up()
    assert first.up().changes == {}
    assert identities(api) == mine
    assert second.up().changes == {}

    # An issuer of another name keeps its CA Secret, which is not made and then deleted.
    path = "/api/v1/namespaces/cert-manager/secrets/pay-root-g1-i1"
    uid = metadata(api, path)["uid"]
    second.write({**values, "issuing": {**issuing, "name": "pay-issuer"}})
    assert "pay-root" not in "".join(second.preview().changes)
    second.up()
    assert metadata(api, path)["uid"] == uid

    # No source of evidence reads the other stack's CA Secret, only the issuer that uses it.
    version = metadata(api, CA_SECRET)["resourceVersion"]
    second.write({**values, "issuing": {"name": "pay-issuer", "secretName": "mtls-ca"}})
    refused(second, "cert-manager Secret mtls-ca-g1-i1", "owned by mtls-pki/first")
    assert metadata(api, CA_SECRET)["resourceVersion"] == version

    # One that stands alone is seen when it is about to be written.
    body = {
        "metadata": {"name": "alone-g1-i1"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "x", "tls.key": "y"},
    }
    api.request("POST", "/api/v1/namespaces/cert-manager/secrets", body)
    second.write({**values, "issuing": {"name": "pay-issuer", "secretName": "alone"}})
    run = second.try_up()
    assert run.status != 0
    assert "adopt: [dev/cert-manager/Secret/alone-g1-i1]" in run.output
    assert cluster.secret(api, "cert-manager", "alone-g1-i1") == body["stringData"]


def test_a_bundle_of_somebody_else_is_not_overwritten_unless_it_is_adopted(
    api: Api, first: Stack
) -> None:
    theirs = material.root("somebody-else")
    api.request(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "joins"}},
    )
    body = {"metadata": {"name": "mesh-trust"}, "data": {"ca.crt": theirs}}
    api.request("POST", "/api/v1/namespaces/joins/configmaps", body)
    values = first.read()
    values["trust"]["namespaces"] = ["shop", "joins"]
    first.write(values)
    refused(first, "adopt: [dev/joins/ConfigMap/mesh-trust]")
    assert cluster.config_map(api, "joins", "mesh-trust")["ca.crt"] == theirs
    first.write({**values, "adopt": ["dev/joins/ConfigMap/mesh-trust"]})
    seen = first.preview()
    assert seen.status == 0, seen.output
    assert "takes over dev/joins/ConfigMap/mesh-trust" in " ".join(seen.output.split())
    first.up()
    owned = cluster.config_map(api, "joins", "mesh-trust")
    assert owned == cluster.config_map(api, "shop", "mesh-trust")
    # The entry can go: it is this stack's now.
    first.write(values)
    assert first.up().changes == {}


@pytest.fixture
def other(own_plane: ControlPlane, make_stack: MakeStack) -> Any:
    """Make and apply a stack with names of its own."""

    def make(name: str) -> Stack:
        stack = make_stack(name)
        stack.write(small_stack(name, own_plane.kubeconfig, services={"web": {"namespace": name}}))
        stack.init()
        stack.up()
        return stack

    return make


def test_a_renamed_stack_keeps_what_it_owned(api: Api, other: Any) -> None:
    stack = other("moves")
    values = stack.read()
    stack.must("stack", "rename", "moved", "--stack", "moves")
    stack.name = "moved"
    before = cluster.settled_snapshot(api)
    refused(stack, "this stack is mtls-pki/moved", "formerOwners")
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()
    stack.write({**values, "formerOwners": ["mtls-pki/moves"]})
    only_changes(stack.up(), "update")
    assert stack.rotation("check").returncode == 0


def test_a_record_without_names_does_not_let_a_renamed_cluster_be_made_again(
    api: Api, other: Any
) -> None:
    stack = other("older")
    namespaced = "/api/v1/namespaces"
    paths = (
        f"{namespaced}/cert-manager/configmaps/older-trust-stage",
        f"{namespaced}/older/configmaps/older-trust",
        f"{cluster.CERT_MANAGER}/namespaces/older/issuers/older-ca-g1-i1",
        f"{namespaced}/older/secrets/older-ca-g1-i1",
        f"{cluster.CERT_MANAGER}/namespaces/older/certificates/web",
    )
    # As a release wrote them that did not write owners and names down.
    keys = ("owner", "trust-domain", "urn", "cluster-names")
    for path in paths:
        gone = dict.fromkeys(f"mtls-pki/{key}" for key in keys)
        cluster.patch(api, path, {"metadata": {"annotations": gone}})
    stack.refresh()
    before = {path: metadata(api, path)["uid"] for path in paths}
    assert stack.up().changes == {}
    assert stack.rotation("check").returncode == 0

    call(stack, "west")
    for run in (stack.preview(), stack.try_up()):
        assert run.status != 0, run.output
        assert "clusters.west.formerly" in run.output
    # What the refused update has left is no obstacle: not to the way back, and not to going on.
    call(stack, "dev")
    assert stack.up().changes == {}
    call(stack, "west")
    assert stack.try_up().status != 0
    call(stack, "west", formerly="dev")
    only_changes(stack.up(), "update")
    assert {path: metadata(api, path)["uid"] for path in paths} == before
    # Now the record knows.
    call(stack, "west")
    assert stack.up().changes == {}
    call(stack, "south")
    only_changes(stack.up(), "update")
    assert {path: metadata(api, path)["uid"] for path in paths} == before
