"""The Secrets that cert-manager wrote in one cluster: their metadata, not what they hold.

A Secret outlives its Certificate, and workloads go on mounting it. Its annotations say for which
Certificate it was written, and which issuer signed what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from mtls_pki.clusters.connection import Cluster, ForbiddenError
from mtls_pki.clusters.recorded import owned_since, parse_time
from mtls_pki.clusters.sources.issuers import IssuerReference
from mtls_pki.settings.model import Settings

MANIFEST = "deploy/rbac-trace.yaml"
"""Grants the list."""

_PATH = "/api/v1/secrets"
# cert-manager, pkg/apis/certmanager/v1/types.go: on every Secret that its controllers write.
_QUERY = {"labelSelector": "controller.cert-manager.io/fao=true"}
_CERTIFICATE = "cert-manager.io/certificate-name"
_ISSUER = "cert-manager.io/issuer-"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenSecret:
    """One Secret with a leaf.

    Attributes:
        namespace: where it is.
        name: of the Secret.
        certificate: name of the Certificate that it was written for.
        issuer: which issuer signed what is in it; None where that is not said.
        created_at: when the server created it.
        written_at: when the server recorded the last change of what is in it, or later.
    """

    namespace: str
    name: str
    certificate: str
    issuer: IssuerReference | None
    created_at: datetime | None
    written_at: datetime | None


def read_written_secrets(
    cluster: Cluster, settings: Settings
) -> dict[tuple[str, str], WrittenSecret] | None:
    """Return the Secrets with a leaf by namespace and name, None where that may not be read.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    try:
        found = cluster.list_metadata(_PATH, partial(_written, settings), _QUERY)
    except ForbiddenError:
        return None
    return {(each.namespace, each.name): each for each in found}


def _written(settings: Settings, live: Mapping[str, Any]) -> WrittenSecret | None:
    metadata = live["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    certificate = annotations.get(_CERTIFICATE)
    if not certificate:
        return None  # a key that waits for its certificate
    issuer = {
        field: annotations.get(f"{_ISSUER}{field}", "") for field in ("name", "kind", "group")
    }
    created_at = parse_time(metadata.get("creationTimestamp"))
    return WrittenSecret(
        namespace=metadata["namespace"],
        name=metadata["name"],
        certificate=certificate,
        issuer=IssuerReference.of(issuer, metadata["namespace"], settings.extensions.issuer_apis)
        if issuer["name"]
        else None,
        created_at=created_at,
        written_at=owned_since(metadata, "f:data", "f:tls.crt") or created_at,
    )
