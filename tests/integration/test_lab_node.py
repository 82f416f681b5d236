"""The lab's node: kubelet's own code makes the volumes of pods, without containers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.node import NODE, NODE_NAME, volume
from tests.integration.lab_fixtures import Lab
from tests.integration.support.cluster import patch, wait_for
from tests.unit.evidence.objects import root

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CORE = "/api/v1/namespaces/default"
BUNDLES = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles"
SIGNER = "example.org/mesh"


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during("noded", with_=("node",)) as plane:
        yield plane


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(plane.api()) as api:
        yield api


def keep(api: Api, collection: str, name: str, **body: Any) -> str:
    path = f"{collection}/{name}"
    if api.exists(path):
        api.request("DELETE", path)
        wait_for(lambda: not api.exists(path), f"end of {name}")
    metadata = {"name": name, "labels": {"mesh": "live"}}
    api.request("POST", collection, {"metadata": metadata, **body})
    return path


def pod(api: Api, name: str, volumes: list[dict[str, Any]], **mount: str) -> str:
    """Start a pod that mounts all volumes; return its API path."""
    mounts = [{"name": each["name"], "mountPath": f"/{each['name']}", **mount} for each in volumes]
    spec = {
        "nodeName": NODE_NAME,
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "containers": [{"name": "it", "image": "it", "volumeMounts": mounts}],
        "volumes": volumes,
    }
    return keep(api, f"{CORE}/pods", name, spec=spec)


def running(api: Api, path: str) -> str:
    wait_for(lambda: api.request("GET", path)["status"].get("phase") == "Running", path)
    return str(api.request("GET", path)["metadata"]["uid"])


def test_a_changed_secret_is_swapped_as_a_whole(plane: ControlPlane, api: Api) -> None:
    secret = keep(api, f"{CORE}/secrets", "leaf", stringData={"tls.crt": "one", "tls.key": "k1"})
    path = pod(api, "secret", [{"name": "tls", "secret": {"secretName": "leaf"}}])
    files = volume(plane.paths, pod_uid=running(api, path), kind="secret", name="tls")
    before = (files / "..data").readlink()
    assert (files / "tls.crt").readlink() == Path("..data/tls.crt")
    assert (files / "tls.crt").read_text() == "one"
    patch(api, secret, {"stringData": {"tls.crt": "two", "tls.key": "k2"}})
    wait_for(lambda: (files / "..data").readlink() != before, "swap")
    assert [(files / name).read_text() for name in ("tls.crt", "tls.key")] == ["two", "k2"]
    assert not (files / before).exists()


def test_one_projected_volume_has_bundle_token_and_roots_of_the_cluster(
    plane: ControlPlane, api: Api
) -> None:
    keep(api, f"{CORE}/configmaps", "mesh-trust", data={"ca.crt": root("g1")})
    bundle = keep(
        api,
        BUNDLES,
        "example.org:mesh:g1",
        apiVersion="certificates.k8s.io/v1beta1",
        kind="ClusterTrustBundle",
        spec={"signerName": SIGNER, "trustBundle": root("g1")},
    )
    sources = [
        {"configMap": {"name": "mesh-trust"}},
        {"serviceAccountToken": {"path": "token", "audience": "mesh"}},
        # By signer: kubelet keeps one that is projected by its name for five minutes whatever
        # happens to it (pkg/kubelet/clustertrustbundle, dropCacheFor of 1.36).
        {
            "clusterTrustBundle": {
                "signerName": SIGNER,
                "labelSelector": {"matchLabels": {"mesh": "live"}},
                "path": "roots.pem",
            }
        },
    ]
    path = pod(api, "projected", [{"name": "all", "projected": {"sources": sources}}])
    files = volume(plane.paths, pod_uid=running(api, path), kind="projected", name="all")
    assert (files / "ca.crt").read_text() == root("g1")
    assert (files / "token").read_text().count(".") == 2
    assert "BEGIN CERTIFICATE" in (files / "roots.pem").read_text()
    before = (files / "roots.pem").read_text()
    patch(api, bundle, {"spec": {"trustBundle": root("g2")}})
    wait_for(lambda: (files / "roots.pem").read_text() != before, "the cluster's new roots")


def test_a_mount_by_sub_path_is_seen_at_once(api: Api) -> None:
    keep(api, f"{CORE}/configmaps", "by-path", data={"ca.crt": "x"})
    volumes = [{"name": "trust", "configMap": {"name": "by-path"}}]
    path = pod(api, "sub-path", volumes, subPath="ca.crt")

    def reason() -> str:
        (status,) = api.request("GET", path)["status"].get("containerStatuses") or ({},)
        return str((status.get("state") or {}).get("waiting", {}).get("reason"))

    wait_for(lambda: reason() == "CreateContainerConfigError", "refusal")


def test_a_deployment_rolls(api: Api) -> None:
    labels = {"app": "rolls"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"nodeName": NODE_NAME, "containers": [{"name": "it", "image": "it"}]},
        },
    }
    path = keep(api, "/apis/apps/v1/namespaces/default/deployments", "rolls", spec=spec)
    wait_for(lambda: api.request("GET", path)["status"].get("availableReplicas") == 1, "pod")


def test_the_node_may_read_what_its_pods_mount_and_nothing_else(
    plane: ControlPlane, api: Api
) -> None:
    keep(api, f"{CORE}/secrets", "nobodys", stringData={"a": "b"})
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [
            *(str(kubectl), f"--kubeconfig={NODE.kubeconfig(plane.paths)}"),
            *("get", "secret", "nobodys", "-o", "name"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no relationship found between node 'lab-node' and this object" in done.stderr
