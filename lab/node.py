"""``--with node``: kubelet's own code over a container runtime that only pretends.

It makes the volumes of pods (Secrets, ConfigMaps, projected volumes, tokens, ClusterTrustBundles)
real directories, with kubelet's own timing and its swap of ``..data``. No container runs: processes
of this machine use the directories in its place. docs/architecture.md says what it cannot show.
"""

from __future__ import annotations

from pathlib import Path

from lab.addons import Addon, Files
from lab.api import Manifest
from lab.certificates import Subject
from lab.paths import Paths
from lab.ports import LOOPBACK
from lab.programs import NODE as NAME
from lab.programs import NODE_FEATURES, Ports

NODE_NAME = "lab-node"
"""Of the Node object: pods that say ``nodeName: lab-node`` run there, without a scheduler."""

SYNC_SECONDS = 2
"""Kubelet's ``syncFrequency``. It brings a change within one and a half of it (resyncs are spread
by half of the period); with the default of a minute that would be ninety seconds.
"""


def _argv(binary: Path, ports: Ports, files: Files) -> tuple[str, ...]:
    return (
        str(binary),
        f"--kubeconfig={files.kubeconfig}",
        f"--name={NODE_NAME}",
        f"--root-dir={files.data}",
        f"--sync-frequency={SYNC_SECONDS}s",
        f"--feature-gates={NODE_FEATURES}",
        f"--health-address={LOOPBACK}:{ports[NAME]}",
    )


NODE = Addon(
    name=NAME,
    service_account="",
    identity=Subject(common_name=f"system:node:{NODE_NAME}", organizations=("system:nodes",)),
    ports=(NAME,),
    argv=_argv,
    # The Node authorizer of the API server lets it read what its pods mount, and no more.
    grants=lambda _: (),
    ready_path="/healthz",
)


def volume(paths: Paths, *, pod_uid: str, kind: str, name: str) -> Path:
    """Return the directory of a volume of a pod.

    Args:
        paths: of the control plane.
        pod_uid: ``metadata.uid`` of the pod.
        kind: ``secret``, ``configmap`` or ``projected``.
        name: of the volume in the pod.
    """
    data = NODE.files(paths).data
    return data / "pods" / pod_uid / "volumes" / f"kubernetes.io~{kind}" / name


def mounting_pod(name: str, namespace: str, *, secret: str, bundle: str) -> Manifest:
    """Return a pod on the node with the volumes ``tls`` and ``trust``.

    Args:
        name: of the pod.
        namespace: of all three.
        secret: name of the Secret with its leaf.
        bundle: name of the ConfigMap with its roots.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": NODE_NAME,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "workload",
                    "image": "workload",
                    "volumeMounts": [
                        {"name": "tls", "mountPath": "/etc/tls", "readOnly": True},
                        {"name": "trust", "mountPath": "/etc/trust", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "tls", "secret": {"secretName": secret}},
                {"name": "trust", "configMap": {"name": bundle}},
            ],
        },
    }
