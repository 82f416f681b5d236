"""One owner of each object: what is renamed moves, and what is somebody else's is left alone.

The tests of one stack follow each other's names: a cluster keeps the name that a test gave it.
"""

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


def test_a_record_without_names_does_not_let_a_renamed_cluster_be_made_again(
    api: Api, first: Stack
) -> None:
    before = identities(api)
    # As a release wrote it that did not write owners and names down.
    for path in OBJECTS:
        keys = ("owner", "trust-domain", "urn", "cluster-names")
        cluster.patch(
            api, path, {"metadata": {"annotations": dict.fromkeys(f"mtls-pki/{k}" for k in keys)}}
        )
    assert first.up().changes == {}
    assert first.rotation("check").returncode == 0
    call(first, "west")
    for run in (first.preview(), first.try_up()):
        assert run.status != 0, run.output
        assert "clusters.west.formerly" in run.output
    assert identities(api) == before
    call(first, "west", formerly="dev")
    only_changes(first.up(), "update")
    assert identities(api) == before
    # Now the record knows.
    call(first, "west")
    assert first.up().changes == {}
    call(first, "dev")
    only_changes(first.up(), "update")
    assert identities(api) == before


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


@pytest.fixture(scope="module")
def second(own_plane: ControlPlane, first: Stack, make_stack: MakeStack) -> Stack:
    """A second stack in the same cluster: a bundle of its own, and the default name of issuers."""
    stack = make_stack("second")
    values = configured(own_plane, "pay", "pay", "till")
    stack.write({**values, "trust": {**values["trust"], "name": "pay-trust"}})
    stack.init()
    return stack


def test_a_second_stack_with_the_same_issuers_is_refused_and_told_whose_they_are(
    api: Api, first: Stack, second: Stack
) -> None:
    before = cluster.settled_snapshot(api)
    refused(
        second,
        "owned by mtls-pki/first",
        "(trust domain mesh.example.org)",
        "dev ClusterIssuer mtls-ca-g1-i1",
        "issuing.name",
    )
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()


def test_stacks_of_different_names_live_side_by_side(api: Api, first: Stack, second: Stack) -> None:
    before = identities(api)
    values = second.read()
    issuing = {"name": "pay-ca", "secretName": "pay-root"}
    second.write({**values, "issuing": issuing})
    second.up()
    assert first.up().changes == {}
    assert identities(api) == before
    assert second.up().changes == {}
    # An issuer of another name keeps its CA Secret, which is not made and deleted.
    path = "/api/v1/namespaces/cert-manager/secrets/pay-root-g1-i1"
    uid = metadata(api, path)["uid"]
    second.write({**values, "issuing": {**issuing, "name": "pay-issuer"}})
    seen = second.preview()
    assert "pay-root" not in "".join(seen.changes)
    second.up()
    assert metadata(api, path)["uid"] == uid


def test_a_ca_secret_of_another_stack_is_not_taken(api: Api, second: Stack) -> None:
    values = second.read()
    second.write({**values, "issuing": {"name": "pay-issuer", "secretName": "mtls-ca"}})
    before = metadata(api, CA_SECRET)["resourceVersion"]
    refused(second, "cert-manager Secret mtls-ca-g1-i1", "owned by mtls-pki/first")
    assert metadata(api, CA_SECRET)["resourceVersion"] == before
    second.write(values)


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


def test_a_renamed_stack_keeps_what_it_owned(api: Api, first: Stack) -> None:
    before = identities(api)
    values = first.read()
    first.must("stack", "rename", "renamed", "--stack", "first")
    first.name = "renamed"
    refused(first, "this stack is mtls-pki/renamed", "formerOwners")
    first.write({**values, "formerOwners": ["mtls-pki/first"]})
    only_changes(first.up(), "update")
    assert identities(api) == before
