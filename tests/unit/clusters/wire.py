"""What an API server puts on the wire around its objects, for those that tests play.

The shapes are those of apimachinery: ``metav1.Status`` of ``NewNotFound`` (pkg/api/errors), and
the lists of discovery as kube-apiserver's aggregator writes them for plain JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mtls_pki.clusters.answers import ResourcePath

NO_SUCH_PATH = "404 page not found\n"
"""Body of a 404 where nothing is served: that of Go's ``http.NotFound``."""

SERVED = {
    "cert-manager.io/v1": {"certificates", "certificaterequests", "clusterissuers", "issuers"},
    "certificates.k8s.io/v1": {"certificatesigningrequests"},
}
"""The versions of APIs that evidence is read from, and their resources."""


def not_found(path: str) -> tuple[int, dict[str, Any]]:
    """Return the answer about an object that is not there."""
    parts = ResourcePath.parse(path)
    assert parts is not None
    assert parts.name
    details = {"name": parts.name, "group": parts.group, "kind": parts.resource}
    return 404, {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{parts.resource} "{parts.name}" not found',
        "reason": "NotFound",
        # Go leaves an empty group out.
        "details": {key: value for key, value in details.items() if value},
        "code": 404,
    }


def group_list(versions: Collection[str]) -> dict[str, Any]:
    """Return what ``/apis`` answers."""
    groups: dict[str, list[dict[str, str]]] = {}
    for each in sorted(versions):
        group, _, version = each.partition("/")
        groups.setdefault(group, []).append({"groupVersion": each, "version": version})
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {"name": name, "versions": listed, "preferredVersion": listed[0]}
            for name, listed in groups.items()
        ],
    }


def resource_list(api_version: str, resources: Collection[str]) -> dict[str, Any]:
    """Return what ``/apis/GROUP/VERSION`` answers."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": [{"name": name, "namespaced": True} for name in sorted(resources)],
    }


def page(path: str, items: list[Any], token: str = "") -> dict[str, Any]:
    """Return a page of a collection."""
    parts = ResourcePath.parse(path)
    assert parts is not None
    return {
        "kind": f"{parts.resource}List",
        "apiVersion": parts.api_version,
        "metadata": {"continue": token},
        "items": items,
    }


def in_type(accept: str, body: Any) -> Any:
    """Return a page as what a client accepts: whole, or the metadata of its objects alone."""
    if "as=PartialObjectMetadataList" not in accept or "items" not in body:
        return body
    return {
        **body,
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadataList",
        "items": [{"metadata": item["metadata"]} for item in body["items"]],
    }


def whole(path: str, live: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with what every object has, where a test has left it out."""
    parts = ResourcePath.parse(path)
    if parts is None:
        return dict(live)
    return {
        "apiVersion": parts.api_version,
        "kind": parts.resource,
        **live,
        "metadata": {"name": parts.name, **live.get("metadata", {})},
    }
