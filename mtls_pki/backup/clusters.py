"""Puts Secrets back into clusters that have lost them; never overwrites one that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from urllib3.exceptions import HTTPError

from mtls_pki.backup.deployment import DeclaredSecret
from mtls_pki.backup.errors import BackupError
from mtls_pki.clusters.connection import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Cluster,
    ClusterError,
    cluster_address,
)
from mtls_pki.settings.model import Settings

# Written like the stack's own objects, so that the stack's next update owns them.
_FIELD_MANAGER = "mtls-pki"


class SecretWriter(Cluster):
    """A cluster in which Secrets can be created, and their namespaces."""

    def create(self, collection: str, manifest: Mapping[str, Any]) -> bool:
        """Create an object; return False if one of that name exists already.

        Raises:
            ClusterError: the cluster refuses or cannot be reached; the message holds no part of the
                object.
        """
        try:
            response = self._client.call_api(
                *self._client.param_serialize(
                    "POST",
                    collection,
                    query_params=[("fieldManager", _FIELD_MANAGER)],
                    header_params={"Accept": "application/json"},
                    body=manifest,
                    auth_settings=["BearerToken"],
                ),
                _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
            response.read()
        except HTTPError as error:
            reason = type(error).__name__
            raise ClusterError(self.name, f"{self.server} cannot be reached ({reason})") from None
        if response.status == HTTPStatus.CONFLICT:
            return False
        if response.status != HTTPStatus.CREATED:
            raise ClusterError(self.name, f"creating in {collection} failed: {response.status}")
        return True


def open_clusters(settings: Settings, secrets: Iterable[DeclaredSecret]) -> dict[str, SecretWriter]:
    """Return a connection to each cluster that a Secret belongs to.

    Raises:
        BackupError: the stack file does not name such a cluster.
        ClusterError: its kubeconfig cannot be used.
    """
    names = sorted({secret.cluster for secret in secrets})
    for name in names:
        if name not in settings.clusters:
            raise BackupError(
                f"the backup has Secrets of cluster {name}, which the stack file does not name; "
                f"there are: {', '.join(settings.clusters)}"
            )
    return {name: SecretWriter(cluster_address(settings, name)) for name in names}


def require_absent(clusters: Mapping[str, SecretWriter], secrets: Iterable[DeclaredSecret]) -> None:
    """Make sure that no cluster has any of the Secrets.

    Raises:
        BackupError: one of them exists.
        ClusterError: a cluster cannot be read.
    """
    for secret in secrets:
        if clusters[secret.cluster].get(f"{_collection(secret)}/{secret.name}") is not None:
            raise BackupError(
                f"{secret.place} is there already and is not overwritten; restore is for a cluster "
                "that has lost it (delete it if nobody needs it)"
            )


def create(clusters: Mapping[str, SecretWriter], secrets: Iterable[DeclaredSecret]) -> None:
    """Create the Secrets, and the namespaces that they are in.

    Raises:
        BackupError: somebody else has created one of them in the meantime.
        ClusterError: a cluster refuses or cannot be reached.
    """
    for secret in secrets:
        cluster = clusters[secret.cluster]
        namespace = {"metadata": {"name": secret.namespace}}
        cluster.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", **namespace})
        if not cluster.create(_collection(secret), secret.manifest):
            raise BackupError(f"{secret.place} was made by somebody else just now; look at it")


def _collection(secret: DeclaredSecret) -> str:
    return f"/api/v1/namespaces/{secret.namespace}/secrets"
