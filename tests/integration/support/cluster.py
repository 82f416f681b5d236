"""What tests read from a cluster and do to it by hand."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lab.api import Api

T = TypeVar("T")
CERT_MANAGER = "/apis/cert-manager.io/v1"
# Written by the control plane for itself, all the time.
_RESTLESS = {"events", "leases", "apiservices", "componentstatuses"}


def wait_for(find: Callable[[], T | None], what: str, *, seconds: float = 60) -> T:
    """Poll ``find`` until it returns something true."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, f"no {what} within {seconds:.0f} s"
        time.sleep(0.1)
    return found


def snapshot(api: Api) -> dict[str, str]:
    """The resourceVersion of every object of the cluster, by its API path."""
    return {path: version for group in _groups(api) for path, version in _versions(api, group)}


def settled_snapshot(api: Api) -> dict[str, str]:
    """A snapshot of a cluster whose controllers have nothing left to do."""
    before = snapshot(api)
    for _ in range(30):
        time.sleep(1)
        after = snapshot(api)
        if after == before:
            return after
        before = after
    raise AssertionError("the cluster has not come to rest within 30 s")


def changed_objects(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """The API paths of what was created, written or deleted between two snapshots."""
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def _groups(api: Api) -> Iterator[str]:
    yield "/api/v1"
    for group in api.request("GET", "/apis")["groups"]:
        yield f"/apis/{group['preferredVersion']['groupVersion']}"


def _versions(api: Api, group: str) -> Iterator[tuple[str, str]]:
    for resource in api.request("GET", group)["resources"]:
        name = resource["name"]
        if "list" not in resource["verbs"] or name in _RESTLESS:
            continue
        for item in api.request("GET", f"{group}/{name}")["items"]:
            metadata = item["metadata"]
            place = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
            yield f"{group}/{place}{name}/{metadata['name']}", metadata["resourceVersion"]


def config_map(api: Api, namespace: str, name: str) -> dict[str, str]:
    """The data of a ConfigMap."""
    data: dict[str, str] = api.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")[
        "data"
    ]
    return data


def secret(api: Api, namespace: str, name: str) -> dict[str, str]:
    """The decoded data of a Secret."""
    data = api.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def patch(api: Api, path: str, body: Mapping[str, Any]) -> None:
    """Merge ``body`` into an object, as a person with ``kubectl edit`` would."""
    api.request("PATCH", path, body, content_type="application/merge-patch+json")


def names(api: Api, collection: str) -> set[str]:
    """The names of the objects of a collection."""
    return {item["metadata"]["name"] for item in api.request("GET", collection)["items"]}


def certificates(api: Api, namespace: str) -> dict[str, dict[str, Any]]:
    """The Certificates of a namespace by name."""
    collection = f"{CERT_MANAGER}/namespaces/{namespace}/certificates"
    return {item["metadata"]["name"]: item for item in api.request("GET", collection)["items"]}


def end_renewals(api: Api, namespace: str) -> None:
    """Delete the Certificates of a namespace at a test's end.

    Those of a short life are renewed every few minutes, under the eyes of other tests that demand
    that nothing in the cluster changes.
    """
    api.request("DELETE", f"{CERT_MANAGER}/namespaces/{namespace}/certificates")


def is_ready(live: Mapping[str, Any], kind: str = "Ready") -> bool:
    """Whether a condition is True and speaks of the object's present generation."""
    return any(
        found["type"] == kind
        and found["status"] == "True"
        and found.get("observedGeneration") == live["metadata"]["generation"]
        for found in live.get("status", {}).get("conditions", ())
    )


def is_being_issued(live: Mapping[str, Any]) -> bool:
    """Whether cert-manager works on a Certificate.

    It may be Ready already: cert-manager writes the Secret first, and the revision afterwards. What
    is changed in between still belongs to the same issuance.
    """
    return any(
        found["type"] == "Issuing" and found["status"] == "True"
        for found in live.get("status", {}).get("conditions", ())
    )


def materialise(
    api: Api, namespace: str, *, service: str, bundle: str, key: str, directory: Path
) -> Path:
    """Write a service's Secret and the trust bundle to files, as a pod would have them mounted.

    The Secret's own ``ca.crt`` is left out on purpose: it is no trust.

    Returns:
        ``directory``, with ``tls.crt``, ``tls.key`` (0600) and ``bundle.crt``.
    """
    directory.mkdir(parents=True, mode=0o700)
    own = secret(api, namespace, f"{service}-tls")
    (directory / "tls.crt").write_text(own["tls.crt"])
    (directory / "tls.key").touch(mode=0o600)
    (directory / "tls.key").write_text(own["tls.key"])
    (directory / "bundle.crt").write_text(config_map(api, namespace, bundle)[key])
    return directory
