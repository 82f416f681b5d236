"""What the answer of an API server means, and what is no answer of an API server at all.

A 404 has many senders: an API server that does not hold an object, one that does not serve the
kind, an aggregated API that is broken, a proxy with another opinion. Only the first two say that
something is not there, and each says it in its own way:

* an object: ``metav1.Status`` with the reason ``NotFound``, and the object's group, resource and
  name in ``details`` (apimachinery, pkg/api/errors, ``NewNotFound``);
* a kind: plain text, which anything could have sent. What counts is discovery: the list of groups
  at ``/apis``, and below a group's version the list of its resources.

Everything here is pure; ``clusters.connection`` asks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

GROUPS = "/apis"
"""Path of the list of all API groups with their versions."""

_RESOURCE = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/[^/]+(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?"
)


@dataclass(frozen=True, kw_only=True)
class ResourcePath:
    """The parts of a path such as ``/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME``.

    ``group`` is empty for the core API, and ``name`` for a collection.
    """

    group: str
    version: str
    resource: str
    name: str

    @classmethod
    def parse(cls, path: str) -> ResourcePath | None:
        """Return the parts of a path of an object or a collection, None for other paths."""
        found = _RESOURCE.fullmatch(path)
        if found is None:
            return None
        parts = found.groupdict(default="")
        return cls(
            group=parts["group"],
            version=parts["version"],
            resource=parts["resource"],
            name=parts["name"],
        )

    @property
    def api_version(self) -> str:
        """What ``apiVersion`` of the objects says."""
        return f"{self.group}/{self.version}" if self.group else self.version


def decoded(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, None where it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def is_object(live: dict[str, Any], path: ResourcePath) -> bool:
    """Whether ``live`` is the object that was asked for."""
    return (
        live.get("apiVersion") == path.api_version
        and isinstance(live.get("kind"), str)
        and isinstance(live.get("metadata"), dict)
        and live["metadata"].get("name") == path.name
    )


def is_page(live: dict[str, Any], path: ResourcePath) -> bool:
    """Whether ``live`` is a page of the collection that was asked for."""
    return (
        live.get("apiVersion") == path.api_version
        and str(live.get("kind")).endswith("List")
        # An empty list of Go may be null.
        and isinstance(live.get("items", ()), list | None)
    )


def is_page_of_metadata(live: dict[str, Any]) -> bool:
    """Whether ``live`` is a page of the metadata of objects, and of nothing else of them."""
    return (
        live.get("apiVersion") == "meta.k8s.io/v1"
        and live.get("kind") == "PartialObjectMetadataList"
        and isinstance(live.get("items", ()), list | None)
    )


def says_not_found(body: bytes, path: ResourcePath) -> bool:
    """Whether a body is an API server's own word that it does not hold the object."""
    status = decoded(body) or {}
    details = status.get("details")
    return (
        path.name != ""
        and status.get("kind") == "Status"
        and status.get("apiVersion") == "v1"
        and status.get("reason") == "NotFound"
        and isinstance(details, dict)
        and (details.get("group", ""), details.get("kind"), details.get("name"))
        == (path.group, path.resource, path.name)
    )


def served_versions(body: bytes) -> frozenset[str] | None:
    """Return each ``GROUP/VERSION`` of an ``APIGroupList``, None where the body is none."""
    try:
        groups = _of_kind(body, "APIGroupList")["groups"]
        return frozenset(each["groupVersion"] for group in groups for each in group["versions"])
    except (KeyError, TypeError):
        return None


def served_resources(body: bytes, api_version: str) -> frozenset[str] | None:
    """Return each resource of the ``APIResourceList`` of a version, None where it is none."""
    try:
        found = _of_kind(body, "APIResourceList")
        if found["groupVersion"] != api_version:
            return None
        return frozenset(each["name"] for each in found["resources"])
    except (KeyError, TypeError):
        return None


def _of_kind(body: bytes, kind: str) -> dict[str, Any]:
    found = decoded(body) or {}
    return found if found.get("kind") == kind else {}
