"""What is added to a pod, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mtls_pki.components.mtls_workload import TLS_VOLUME, TRUST_VOLUME, Mounts, mounted

POD: dict[str, Any] = {
    "initContainers": [{"name": "wait", "image": "wait"}],
    "containers": [
        {"name": "orders", "image": "orders", "env": [{"name": "A", "value": "b"}]},
        {"name": "sidecar", "image": "sidecar"},
    ],
}
NAMES = {"secret_name": "orders-tls", "bundle_name": "mesh-trust"}
MOUNTS = Mounts(**NAMES)


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (*pod["containers"], *pod.get("initContainers", ()))}


def test_both_volumes_are_mounted_whole_in_every_container() -> None:
    pod = mounted(POD, MOUNTS)
    for container in containers(pod).values():
        assert container["volumeMounts"] == [
            {"name": TLS_VOLUME, "mountPath": "/etc/tls", "readOnly": True},
            {"name": TRUST_VOLUME, "mountPath": "/etc/trust", "readOnly": True},
        ]
    assert "subPath" not in str(pod)


def test_the_leafs_own_ca_is_not_there() -> None:
    tls, trust = mounted(POD, Mounts(**NAMES, bundle_key="roots"))["volumes"]
    assert [each["key"] for each in tls["secret"]["items"]] == ["tls.crt", "tls.key"]
    assert trust["configMap"]["items"] == [{"key": "roots", "path": "ca.crt"}]


def test_what_is_given_is_not_changed() -> None:
    before = copy.deepcopy(POD)
    mounted(POD, Mounts(**NAMES, environment=True, fs_group=7))
    assert before == POD


def test_one_container_may_get_it_alone_with_its_environment() -> None:
    mounts = Mounts(**NAMES, containers=("orders",), environment=True, tls_path="/t")
    found = containers(mounted(POD, mounts))
    assert {each["name"]: each["value"] for each in found["orders"]["env"]} == {
        "A": "b",
        "TLS_CERT": "/t/tls.crt",
        "TLS_KEY": "/t/tls.key",
        "TLS_CA": "/etc/trust/ca.crt",
    }
    assert "volumeMounts" not in found["sidecar"]
    assert "volumeMounts" not in found["wait"]


def test_the_group_of_the_files() -> None:
    mounts = Mounts(**NAMES, fs_group=999)
    assert mounted(POD, mounts)["securityContext"] == {"fsGroup": 999}
    with pytest.raises(ValueError, match="the pod has fsGroup 1, not 999; leave one out"):
        mounted({**POD, "securityContext": {"fsGroup": 1}}, mounts)


@pytest.mark.parametrize(
    ("pod", "mounts", "words"),
    [
        (
            POD,
            Mounts(**NAMES, containers=("ordres",)),
            "the pod has no container ordres; it has orders, sidecar, wait",
        ),
        (
            {**POD, "volumes": [{"name": TLS_VOLUME}]},
            MOUNTS,
            "pod has a volume mtls-tls already; remove it",
        ),
        (
            {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/etc/trust"}]}]},
            MOUNTS,
            "container a has a mount at /etc/trust already; remove it",
        ),
        (
            {"containers": [{"name": "a", "env": [{"name": "TLS_CA"}]}]},
            Mounts(**NAMES, environment=True),
            "container a has a variable TLS_CA already; remove it",
        ),
    ],
)
def test_what_would_contradict_is_refused(pod: Any, mounts: Mounts, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mounted(pod, mounts)
