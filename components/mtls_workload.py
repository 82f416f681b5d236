"""What a workload needs to take part: its leaf, the trust bundle, and a way to notice changes."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.kubernetes_options import owned

TLS_VOLUME, TRUST_VOLUME = "mtls-tls", "mtls-trust"
"""The two volumes, in the pod."""

BUNDLE_CHECKSUM = "mtls-pki/bundle-checksum"
"""Annotation of the pod template, where a new bundle is to restart the workload."""

Reload = Literal["itself", "reloader", "restart"]
"""How a workload takes new files.

``itself``: it looks at the files again, or its process is told by a sidecar. ``reloader``: Stakater
Reloader restarts it when leaf or bundle changed. ``restart``: a new bundle restarts it, by a
checksum in the pod template; its leaf it must load by itself.
"""


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """Where a pod gets its files from, and where they go.

    Attributes:
        secret_name: that cert-manager writes, with ``tls.crt`` and ``tls.key``. Its ``ca.crt`` is
            not mounted: it holds one root at a time.
        bundle_name: ConfigMap of the trust bundle.
        bundle_key: the bundle's key in it.
        tls_path: directory of ``tls.crt`` and ``tls.key``.
        trust_path: directory of ``ca.crt``.
        containers: that get both; empty: all, init containers too.
        environment: set ``TLS_CERT``, ``TLS_KEY`` and ``TLS_CA`` to the files.
        fs_group: group of the files, for a process that is not root; None: as the pod has it.
    """

    secret_name: str
    bundle_name: str
    bundle_key: str = "ca.crt"
    tls_path: str = "/etc/tls"
    trust_path: str = "/etc/trust"
    containers: tuple[str, ...] = ()
    environment: bool = False
    fs_group: int | None = None


def mounted(pod: Mapping[str, Any], mounts: Mounts) -> dict[str, Any]:
    """Return the pod spec with leaf and bundle mounted, each as a whole volume.

    A whole volume, since kubelet never updates a ``subPath`` mount (Kubernetes documentation,
    "Using Secrets as files from a Pod").

    Args:
        pod: a pod spec in the spelling of Kubernetes; it is not changed.
        mounts: what is added.

    Raises:
        ValueError: it has volumes, paths or variables of these names already, or lacks a container
            that is named.
    """
    spec: dict[str, Any] = copy.deepcopy(dict(pod))
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    names = {str(each["name"]) for each in containers}
    missing = [name for name in mounts.containers if name not in names]
    if missing:
        raise ValueError(
            f"the pod has no container {', '.join(missing)}; it has {', '.join(sorted(names))}"
        )
    volumes = spec.setdefault("volumes", [])
    _refuse({str(each["name"]) for each in volumes}, (TLS_VOLUME, TRUST_VOLUME), "volume", "pod")
    volumes += [
        {
            "name": TLS_VOLUME,
            "secret": {
                "secretName": mounts.secret_name,
                # Owner and group: a server that is not root reads its key through fsGroup.
                "defaultMode": 0o440,
                "items": [{"key": key, "path": key} for key in ("tls.crt", "tls.key")],
            },
        },
        {
            "name": TRUST_VOLUME,
            "configMap": {
                "name": mounts.bundle_name,
                "items": [{"key": mounts.bundle_key, "path": "ca.crt"}],
            },
        },
    ]
    for container in containers:
        if not mounts.containers or container["name"] in mounts.containers:
            _add(container, mounts)
    if mounts.fs_group is not None:
        context = spec.setdefault("securityContext", {})
        if context.get("fsGroup", mounts.fs_group) != mounts.fs_group:
            raise ValueError(
                f"the pod has fsGroup {context['fsGroup']}, not {mounts.fs_group}; leave one out"
            )
        context["fsGroup"] = mounts.fs_group
    return spec


def _add(container: dict[str, Any], mounts: Mounts) -> None:
    where = f"container {container['name']}"
    paths = {TLS_VOLUME: mounts.tls_path, TRUST_VOLUME: mounts.trust_path}
    held = container.setdefault("volumeMounts", [])
    _refuse({str(each["mountPath"]) for each in held}, paths.values(), "mount at", where)
    held += [{"name": name, "mountPath": path, "readOnly": True} for name, path in paths.items()]
    if mounts.environment:
        values = {
            "TLS_CERT": f"{mounts.tls_path}/tls.crt",
            "TLS_KEY": f"{mounts.tls_path}/tls.key",
            "TLS_CA": f"{mounts.trust_path}/ca.crt",
        }
        variables = container.setdefault("env", [])
        _refuse({str(each["name"]) for each in variables}, values, "variable", where)
        variables += [{"name": name, "value": value} for name, value in values.items()]


def _refuse(held: set[str], added: Iterable[str], what: str, where: str) -> None:
    taken = sorted(held.intersection(added))
    if taken:
        raise ValueError(f"{where} has a {what} {', '.join(taken)} already; remove it")


@dataclass(frozen=True, kw_only=True)
class MtlsWorkloadArgs:
    """Arguments of :class:`MtlsWorkload`.

    Attributes:
        namespace: of the Deployment, with Secret and bundle.
        workload_name: of the Deployment.
        spec: of the Deployment, in the spelling of Kubernetes.
        mounts: what its pods get.
        reload: how it takes new files.
        bundle_pem: the bundle, where ``reload`` is ``restart``.
    """

    namespace: str
    workload_name: str
    spec: Mapping[str, Any]
    mounts: Mounts
    reload: Reload = "itself"
    bundle_pem: Input[str] | None = None


class MtlsWorkload(pulumi.ComponentResource):
    """A Deployment with its leaf and the trust bundle mounted, for any Pulumi program.

    Attributes:
        deployment: the resource.
    """

    deployment: Deployment

    def __init__(
        self, name: str, args: MtlsWorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the Deployment.

        Raises:
            ValueError: the pod spec contradicts the mounts, or ``bundle_pem`` is missing.
        """
        super().__init__("mtls-pki:index:MtlsWorkload", name, None, opts)
        # As it is written in YAML; its parts are checked by the API server.
        spec: Any = copy.deepcopy(dict(args.spec))
        template: dict[str, Any] = spec["template"]
        template["spec"] = mounted(template["spec"], args.mounts)
        annotations = owned()
        if args.reload == "reloader":
            # On the workload's own metadata: on the pod template nobody reads them.
            annotations |= {
                "secret.reloader.stakater.com/reload": args.mounts.secret_name,
                "configmap.reloader.stakater.com/reload": args.mounts.bundle_name,
            }
        if args.reload == "restart":
            if args.bundle_pem is None:
                raise ValueError("reload is restart, so bundle_pem must be given")
            metadata = template.setdefault("metadata", {})
            metadata["annotations"] = {
                **metadata.get("annotations", {}),
                BUNDLE_CHECKSUM: Output.from_input(args.bundle_pem).apply(_checksum),
            }
        self.deployment = Deployment(
            f"{name}-deployment",
            metadata=ObjectMetaArgs(
                name=args.workload_name, namespace=args.namespace, annotations=annotations
            ),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"deployment": self.deployment.metadata["name"]})


def _checksum(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()
