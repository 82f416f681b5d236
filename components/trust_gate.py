"""The stage of a trust domain, recorded in each cluster, on which every change of trust waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi import Input
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import ConfigMap
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by, owned


@dataclass(frozen=True, kw_only=True)
class TrustGateArgs:
    """Arguments of :class:`TrustGate`.

    Attributes:
        object_name: name of the ConfigMap.
        namespace: of the ConfigMap.
        data: the stage record and the root certificates, all public.
        guard: hook that judges the change; an exception stops preview and ``up`` with its message.
        delete_guard: hook that judges whether the record may be deleted.
    """

    object_name: str
    namespace: str
    data: Mapping[str, Input[str]]
    guard: pulumi.ResourceHook
    delete_guard: pulumi.ResourceHook | None = None


class TrustGate(pulumi.ComponentResource):
    """One ConfigMap with the roles and fingerprints of all anchors, guarded.

    Everything that issues or distributes trust in the cluster depends on :attr:`record`. So if the
    guard refuses a change, the update stops before any of that is changed.

    Attributes:
        record: the ConfigMap.
        guarded: it again, with its place.
    """

    record: ConfigMap
    guarded: tuple[GuardedObject, ...]

    def __init__(
        self, name: str, args: TrustGateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the record; constructing raises nothing."""
        super().__init__("mtls-pki:index:TrustGate", name, None, opts)
        self.record = ConfigMap(
            name,
            metadata=ObjectMetaArgs(
                name=args.object_name, namespace=args.namespace, annotations=owned()
            ),
            data=args.data,
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=guarded_by(args.guard, args.delete_guard),
                delete_before_replace=True,
            ),
        )
        self.guarded = (
            GuardedObject(resource=self.record, namespace=args.namespace, name=args.object_name),
        )
        self.register_outputs({})
