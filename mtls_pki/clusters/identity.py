"""Which cluster a kubeconfig reaches, and whether it is the one that a name means.

Whatever writes to a cluster outside of an update asks here first.
"""

from __future__ import annotations

from collections.abc import Iterable

from mtls_pki.clusters.connection import Cluster, ClusterError
from mtls_pki.errors import CommandError
from mtls_pki.rotation.rules import Refusal

# Made with the cluster, never deleted: its UID is the usual identity of a cluster, as in
# OpenTelemetry's semantic conventions (k8s.cluster.uid).
_IDENTITY = "/api/v1/namespaces/kube-system"


def cluster_uid(cluster: Cluster) -> str:
    """Return the UID of the namespace ``kube-system``.

    Raises:
        ClusterError: the cluster cannot be read, or has no such namespace.
    """
    live = cluster.get(_IDENTITY) or {}
    uid = live.get("metadata", {}).get("uid")
    if not uid:
        raise ClusterError(
            cluster.name,
            f"{cluster.server} has no namespace kube-system with a UID, so it cannot be told from "
            f"another cluster; check kubeconfig and context of clusters.{cluster.name}",
        )
    return str(uid)


def require_meant(refusals: Iterable[Refusal]) -> None:
    """Make sure that each name reaches the cluster that it means.

    Args:
        refusals: what ``rotation.clusters_seen`` says of the clusters.

    Raises:
        CommandError: there is a refusal; the message tells all of them.
    """
    told = "; ".join(f"{'; '.join(each.seen)}: {each.remedy}" for each in refusals)
    if told:
        raise CommandError(told)
