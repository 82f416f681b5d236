"""What docs/operations.md says of clusters that are gone and of Secrets that were made by hand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]


def test_a_cluster_that_is_gone_for_good_is_taken_out(
    lab: Lab, plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    name = "outlived"
    with lab.during("gone-for-good") as gone:
        stack = make_stack(name)
        clusters: dict[str, Any] = {
            "here": {"kubeconfig": str(plane.kubeconfig)},
            "old": {"kubeconfig": str(gone.kubeconfig)},
        }
        stack.write(small_stack(name, plane.kubeconfig, clusters=clusters))
        stack.init()
        stack.up()
    values = stack.read()
    del values["clusters"]["old"]
    stack.write(values)
    refused = stack.try_up()
    assert refused.status != 0
    assert "abandon: [cluster/old]" in refused.output, refused.output
    stack.write({**values, "abandon": ["cluster/old"]})
    unreachable = stack.try_up()
    assert "rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE" in unreachable.output
    stack.environment |= {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}
    stack.up()
    del stack.environment["PULUMI_K8S_DELETE_UNREACHABLE"]
    stack.write(values)
    stack.up()
    assert stack.up().changes == {}
    assert all(map(cluster.is_ready, cluster.certificates(api, name).values()))
    assert "old/outlived/web" not in stack.state_file.read_text()


def test_a_secret_of_another_type_is_told_and_another_name_is_the_way(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    name = "by-hand"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}/secrets"
    secret = f"{name}-ca-g1-i1"
    made = {
        "metadata": {"name": secret},
        "type": "Opaque",
        "data": {"ca.key": base64.b64encode(b"theirs").decode()},
    }
    api.request("POST", path, made)
    values = small_stack(name, plane.kubeconfig, trust={"createNamespaces": False})
    stack = make_stack(name)
    stack.write(values)
    stack.init()
    refused = stack.try_up()
    assert refused.status != 0
    assert secret in refused.output, refused.output
    assert "Secret by-hand-ca-g1-i1: without an owner, and its type is not" in refused.output
    assert "adopt: [" not in refused.output
    assert "issuing.secretName" in refused.output
    # It is no way out either, so it does not end in what the API server says.
    values["adopt"] = [f"{plane.name}/{name}/Secret/{secret}"]
    stack.write(values)
    assert "cannot be changed" in stack.try_up().output
    del values["adopt"]
    assert api.request("GET", f"{path}/{secret}")["data"] == made["data"]
    values["issuing"]["secretName"] = f"{name}-anchor"
    stack.write(values)
    stack.up()
    assert api.request("GET", f"{path}/{secret}")["data"] == made["data"]
    assert all(map(cluster.is_ready, cluster.certificates(api, name).values()))
