"""The roots that verifiers trust, distributed to every namespace of one cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import ConfigMap
from mtls_pki.components.kubernetes_options import (
    GuardedObject,
    await_at_most,
    awaited,
    guarded_by,
    owned,
)
from mtls_pki.pki.bundle import render_bundle


@dataclass(frozen=True, kw_only=True)
class TrustBundleArgs:
    """Arguments of :class:`TrustBundle`.

    Attributes:
        bundle_name: name of the ConfigMap in each namespace.
        keys: the ConfigMap's keys that hold the PEM; one for trust-manager.
        namespaces: where verifiers mount it.
        roots: certificate PEM of every trusted generation; order and repetition do not matter.
        via: ``configmap`` writes each ConfigMap itself; ``trust-manager`` declares one Bundle that
            trust-manager copies into the namespaces.
        ready_timeout: how long ``up`` waits for trust-manager.
        on_failure: hook that says why an operation failed.
        guard: hook that judges the change again where a bundle is made or changes, because an
            update that was interrupted after the gate goes on here.
        delete_guard: hook that judges whether a bundle may be deleted.
    """

    bundle_name: str
    keys: tuple[str, ...]
    namespaces: tuple[str, ...]
    roots: Sequence[Input[str]]
    via: Literal["configmap", "trust-manager"]
    ready_timeout: timedelta
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class TrustBundle(pulumi.ComponentResource):
    """The trust bundle of one cluster: roots only, no duplicates, sorted, never empty.

    Attributes:
        pem: the bundle, as verifiers read it.
        members: the resources that carry it; a resource that must come after trust depends on them.
        guarded: them again, with their places.
    """

    pem: Output[str]
    members: tuple[pulumi.Resource, ...]
    guarded: tuple[GuardedObject, ...]

    def __init__(
        self, name: str, args: TrustBundleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the bundle.

        Raises:
            pki.errors.PkiError: (while the program runs) a root is no CA, or there is none.
        """
        super().__init__("mtls-pki:index:TrustBundle", name, None, opts)
        self.pem = Output.all(*args.roots).apply(render_bundle)
        places: tuple[str | None, ...] = (None,)
        if args.via == "configmap":
            self.members = tuple(self._config_map(name, ns, args) for ns in args.namespaces)
            places = args.namespaces
        else:
            self.members = (self._bundle(name, args),)
        self.guarded = tuple(
            GuardedObject(resource=member, namespace=namespace, name=args.bundle_name)
            for member, namespace in zip(self.members, places, strict=True)
        )
        self.register_outputs({"pem": self.pem})

    def _config_map(self, name: str, namespace: str, args: TrustBundleArgs) -> ConfigMap:
        return ConfigMap(
            f"{name}-{namespace}",
            metadata=ObjectMetaArgs(
                name=args.bundle_name, namespace=namespace, annotations=owned()
            ),
            data=dict.fromkeys(args.keys, self.pem),
            opts=pulumi.ResourceOptions(
                parent=self, hooks=_hooks(args), delete_before_replace=True
            ),
        )

    def _bundle(self, name: str, args: TrustBundleArgs) -> CustomResource:
        return CustomResource(
            name,
            api_version="trust.cert-manager.io/v1alpha1",
            kind="Bundle",
            metadata=ObjectMetaArgs(name=args.bundle_name, annotations=awaited("Synced")),
            spec={
                "sources": [{"inLine": self.pem}],
                "target": {
                    "configMap": {"key": args.keys[0]},
                    "namespaceSelector": {
                        "matchExpressions": [
                            {
                                "key": "kubernetes.io/metadata.name",
                                "operator": "In",
                                "values": list(args.namespaces),
                            }
                        ]
                    },
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=await_at_most(args.ready_timeout),
                hooks=_hooks(args),
                delete_before_replace=True,
            ),
        )


def _hooks(args: TrustBundleArgs) -> pulumi.ResourceHookBinding:
    return guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure)
