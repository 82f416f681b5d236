"""Deletes objects that the stack has written and that nothing declares any more.

The rights are those of deploy/rbac-prune.yaml.
"""

from __future__ import annotations

from mtls_pki.clusters.connection import ClusterAddress
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.sources.issuers import API
from mtls_pki.clusters.writer import ClusterWriter
from mtls_pki.rotation.owned_object import Claim, OwnedObject
from mtls_pki.settings.extensions import IssuerApi

MANIFEST = "deploy/rbac-prune.yaml"
FIELD_MANAGER = "mtls-pki-prune"


def open_writer(address: ClusterAddress) -> ClusterWriter:
    """Return a cluster in which what is left behind can be deleted.

    Raises:
        ClusterError: the kubeconfig or the context does not exist or cannot be used.
    """
    return ClusterWriter(address, manifest=MANIFEST, field_manager=FIELD_MANAGER)


def delete_left_behind(
    writer: ClusterWriter, found: OwnedObject, claim: Claim, apis: tuple[IssuerApi, ...]
) -> bool:
    """Delete one object, if it is still this stack's; False if it is gone or somebody else's.

    Args:
        writer: of its cluster.
        found: the object.
        claim: what the stack calls its own.
        apis: those that issuers may belong to.

    Raises:
        ClusterError: the cluster refuses or cannot be reached.
        ValueError: it is of a kind that evidence does not list.
    """
    path = _path(found, apis)
    live = writer.cluster.get(path)
    if live is None:
        return False
    if claim.left(owned_object(found.cluster, found.kind, live["metadata"])) is None:
        return False
    return writer.delete(path, live["metadata"]["uid"])


def _path(found: OwnedObject, apis: tuple[IssuerApi, ...]) -> str:
    if found.kind == "ConfigMap":
        return f"/api/v1/namespaces/{found.namespace}/configmaps/{found.name}"
    if found.kind == "Certificate":
        return f"{API}/namespaces/{found.namespace}/certificates/{found.name}"
    for api in apis:
        if found.kind in (api.issuer, api.cluster_issuer):
            return api.path(found.kind, found.namespace or None, found.name)
    raise ValueError(f"{found.entry}: an object of this kind is nothing to prune")
