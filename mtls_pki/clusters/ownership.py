"""Whose an object of a cluster is: what the program writes on its own, and how it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.rotation.owned_object import OwnedObject

OWNER = "mtls-pki/owner"
"""Annotation of every object that the program declares: ``<project>/<stack>``."""

TRUST_DOMAIN = "mtls-pki/trust-domain"
"""Annotation: the trust domain of that stack."""

RESOURCE = "mtls-pki/urn"
"""Annotation: type and name of the Pulumi resource that made the object."""

CLUSTER_NAMES = "mtls-pki/cluster-names"
"""Annotation of a stage record: the stack's name for the cluster, then its former names."""

FIELD_MANAGER = "mtls-pki"
"""In ``managedFields``: the program, for releases before the annotations too."""


def owned_object(
    cluster: str, kind: str, metadata: Mapping[str, Any], *, owner: str | None = None
) -> OwnedObject:
    """Return whose the object with this metadata is.

    Args:
        cluster: where it was read.
        kind: of the object; items of a list do not have it themselves.
        metadata: of the live object.
        owner: whose it is, where the object says so in another way than by annotation.
    """
    annotations = metadata.get("annotations") or {}
    managers = (entry.get("manager") for entry in metadata.get("managedFields") or ())
    return OwnedObject(
        cluster=cluster,
        namespace=metadata.get("namespace", ""),
        kind=kind,
        name=metadata["name"],
        owner=annotations.get(OWNER) or owner,
        trust_domain=annotations.get(TRUST_DOMAIN),
        by_program=FIELD_MANAGER in managers,
    )


def find_object(
    cluster: Cluster,
    *,
    api_version: str,
    kind: str,
    namespace: str | None,
    name: str,
    secret_type: str | None = None,
) -> OwnedObject | None:
    """Return whose an object is, None where there is none; what it holds is not read.

    Args:
        cluster: where to look.
        api_version: of the object.
        kind: of the object.
        namespace: None for a kind that has none.
        name: of the object.
        secret_type: that a Secret needs to have, which Kubernetes never changes (kubernetes,
            pkg/apis/core/validation, ValidateSecretUpdate); None where it does not matter.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""

    def find(selector: str) -> OwnedObject | None:
        found = cluster.list_metadata(
            # The plurals of all kinds that the program declares are regular.
            f"{group}{scope}/{kind.lower()}s",
            lambda live: owned_object(cluster.name, kind, live["metadata"]),
            {"fieldSelector": selector},
        )
        return next(iter(found), None)

    found = find(f"metadata.name={name}")
    if found is None or secret_type is None or find(f"metadata.name={name},type={secret_type}"):
        return found
    return replace(found, unlike=f"and its type is not {secret_type} and cannot be changed")


def cluster_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how the stack has called the cluster of a stage record, the latest name first."""
    return tuple(((metadata.get("annotations") or {}).get(CLUSTER_NAMES) or "").split())
