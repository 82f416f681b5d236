"""Puts Secrets back into clusters that have lost them, and never over one that is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mtls_pki.clusters.connection import ClusterError, cluster_address
from mtls_pki.clusters.declared_secret import DeclaredSecret
from mtls_pki.clusters.identity import cluster_uid, require_meant
from mtls_pki.clusters.writer import ClusterWriter
from mtls_pki.errors import CommandError
from mtls_pki.rotation.clusters_seen import name_refusals
from mtls_pki.settings.model import Settings

MANIFEST = "deploy/rbac-restore.yaml"
# As the stack's own objects, so that its next update owns what it finds.
_FIELD_MANAGER = "mtls-pki"


def open_clusters(
    settings: Settings, secrets: Iterable[DeclaredSecret]
) -> dict[str, ClusterWriter]:
    """Return a connection to each cluster that a Secret belongs to.

    Raises:
        ClusterError: the stack file does not name such a cluster, or its kubeconfig cannot be used.
    """
    names = sorted({secret.cluster for secret in secrets})
    for name in names:
        if name not in settings.clusters:
            raise ClusterError(
                name,
                "the backup has Secrets of this cluster, which the stack file does not name; "
                f"there are: {', '.join(settings.clusters)}",
            )
    return {
        name: ClusterWriter(
            cluster_address(settings, name), manifest=MANIFEST, field_manager=_FIELD_MANAGER
        )
        for name in names
    }


def lost(
    clusters: Mapping[str, ClusterWriter], secrets: Iterable[DeclaredSecret]
) -> tuple[DeclaredSecret, ...]:
    """Return the Secrets that their clusters have no more; a cluster that was not lost has its own.

    Raises:
        ClusterError: one is there with another content, or a cluster cannot be read.
    """
    found = []
    for secret in secrets:
        live = clusters[secret.cluster].cluster.get(f"{_collection(secret)}/{secret.name}")
        if live is None:
            found.append(secret)
        elif not secret.same_as(live):
            raise ClusterError(
                secret.cluster,
                f"{secret.place} is there with another content than the backup has, and is not "
                "overwritten; take a backup of the time of that content, or, if the Secret is "
                "worth nothing, delete it",
            )
    return tuple(found)


def require_recorded(
    clusters: Mapping[str, ClusterWriter],
    recorded: Mapping[str, str],
    rebuilt: Collection[str],
) -> dict[str, str]:
    """Make sure that each cluster is the recorded one, or was built again on purpose.

    Args:
        clusters: by name.
        recorded: UIDs that the backup remembers, by name; a backup of an earlier release has none.
        rebuilt: names of clusters that were built again.

    Returns:
        the UID of each cluster, by name.

    Raises:
        CommandError: a name reaches another cluster than the recorded one, or is none of them.
        ClusterError: a cluster cannot be read.
    """
    for name in rebuilt:
        if name not in clusters:
            known = ", ".join(sorted(clusters)) or "none"
            raise CommandError(
                f"--rebuilt {name}: the backup has Secrets of no such cluster; of: {known}"
            )
    live = {name: cluster_uid(writer.cluster) for name, writer in clusters.items()}
    require_meant(name_refusals(live, recorded, rebuilt=rebuilt, way="pass --rebuilt {name}"))
    return live


def create(clusters: Mapping[str, ClusterWriter], secrets: Iterable[DeclaredSecret]) -> None:
    """Create the Secrets, and the namespaces that they stand in.

    Raises:
        ClusterError: one was created by somebody else meanwhile, or a cluster refuses or cannot be
            reached.
    """
    for secret in secrets:
        cluster = clusters[secret.cluster]
        namespace = {"metadata": {"name": secret.namespace}}
        cluster.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", **namespace})
        if not cluster.create(_collection(secret), secret.manifest):
            raise ClusterError(
                secret.cluster, f"{secret.place} was made by somebody else just now; look at it"
            )


def _collection(secret: DeclaredSecret) -> str:
    return f"/api/v1/namespaces/{secret.namespace}/secrets"
