"""cert-manager from its Helm chart, and trust-manager from its own if it distributes trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_kubernetes.helm.v4 import Chart
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import Namespace

# The chart's CRDs stay when the chart is removed, because every Certificate of the cluster would be
# deleted with them. The start-up check is a Helm hook, which does not run when a chart is rendered
# into resources. Instead the chart's Deployments are awaited, and calls that reach the webhook too
# early are tried again.
_CERT_MANAGER_VALUES: Mapping[str, Any] = {
    "crds": {"enabled": True, "keep": True},
    "startupapicheck": {"enabled": False},
}
# A mesh's trust bundle must not hold public CAs, and nothing here writes trust into Secrets.
_TRUST_MANAGER_VALUES: Mapping[str, Any] = {
    "defaultPackage": {"enabled": False},
    "secretTargets": {"enabled": False},
    "crds": {"enabled": True, "keep": True},
}


@dataclass(frozen=True, kw_only=True)
class ChartSource:
    """A pinned Helm chart.

    Attributes:
        chart: OCI reference, or a chart directory on disk.
        version: the pinned version; not used for a directory.
        values: they replace this component's own values, which are safe defaults.
    """

    chart: str
    version: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CertManagerArgs:
    """Arguments of :class:`CertManager`.

    Attributes:
        namespace: where both are installed; trust-manager reads its sources from it.
        cert_manager: the cert-manager chart.
        trust_manager: the trust-manager chart, or None to leave it out.
    """

    namespace: str
    cert_manager: ChartSource
    trust_manager: ChartSource | None


class CertManager(pulumi.ComponentResource):
    """The controllers of one cluster; issuers and Certificates depend on this component."""

    def __init__(
        self, name: str, args: CertManagerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare namespace and charts; an unreachable chart fails while the program runs."""
        super().__init__("mtls-pki:index:CertManager", name, None, opts)
        namespace = Namespace(
            f"{name}-namespace",
            metadata=ObjectMetaArgs(name=args.namespace),
            # CA Secrets of other stacks may be in it.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        own = {**_CERT_MANAGER_VALUES, "global": {"leaderElection": {"namespace": args.namespace}}}
        cert_manager = self._chart(
            name, "cert-manager", args.cert_manager, own, args.namespace, namespace
        )
        if args.trust_manager is not None:
            own = {**_TRUST_MANAGER_VALUES, "app": {"trust": {"namespace": args.namespace}}}
            # trust-manager's webhook certificate is a cert-manager Certificate.
            self._chart(
                name, "trust-manager", args.trust_manager, own, args.namespace, cert_manager
            )
        self.register_outputs({"namespace": args.namespace})

    def _chart(
        self,
        name: str,
        release: str,
        source: ChartSource,
        own_values: Mapping[str, Any],
        namespace: str,
        after: pulumi.Resource,
    ) -> Chart:
        from_registry = source.chart.startswith("oci://")
        return Chart(
            f"{name}-{release}",
            name=release,
            namespace=namespace,
            chart=source.chart,
            version=source.version if from_registry else None,
            values=merge_values(own_values, source.values),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[after]),
        )


def merge_values(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the Helm values ``over``: mappings are merged, all else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merge_values(below, value)
        merged[key] = value
    return merged
