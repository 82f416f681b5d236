"""What must be there before the first resource is declared: clusters, CRDs and namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a cluster must offer.

    Attributes:
        api_groups: API group and version -> what to do where the API server does not serve it.
        namespaces: namespaces that must exist.
        created: namespaces that need not exist yet, and must not be ending.
    """

    api_groups: dict[str, str]
    namespaces: tuple[str, ...]
    created: tuple[str, ...] = ()


def _missing(cluster: Cluster, needs: Needs) -> Iterator[str]:
    for group_version, remedy in needs.api_groups.items():
        if not cluster.serves(group_version):
            yield f"cluster {cluster.name}: {group_version} is not installed; {remedy}"
    for namespace in (*needs.namespaces, *needs.created):
        found = cluster.get(f"/api/v1/namespaces/{namespace}")
        if found is None:
            if namespace in needs.namespaces:
                yield (
                    f"cluster {cluster.name}: namespace {namespace} does not exist; create it "
                    "(trust.createNamespaces: true makes those of trust.namespaces)"
                )
        elif (since := found.get("metadata", {}).get("deletionTimestamp")) is not None:
            yield (
                f"cluster {cluster.name}: namespace {namespace} has been Terminating since {since}"
                f"{_held(found)}; nothing can be created in it: let it end, and run this again"
            )


def _held(namespace: Mapping[str, Any]) -> str:
    """What keeps a namespace from ending, in the words of its controller."""
    conditions = namespace.get("status", {}).get("conditions", ())
    said = [each["message"] for each in conditions if each["status"] == "True"]
    return f" ({' '.join(said)})" if said else ""


def _check_one(address: ClusterAddress, needs: Needs) -> list[str]:
    try:
        return list(_missing(Cluster(address), needs))
    except ClusterError as error:
        return [str(error)]


def missing_prerequisites(
    addresses: Sequence[ClusterAddress], needs: Callable[[str], Needs]
) -> dict[str, tuple[str, ...]]:
    """Return what is missing, by cluster; clusters that are ready are left out.

    The clusters are asked at the same time.

    Args:
        addresses: of the clusters.
        needs: what a cluster must offer, by its name.
    """
    with ThreadPoolExecutor(max_workers=min(16, len(addresses))) as pool:
        found = pool.map(lambda address: _check_one(address, needs(address.name)), addresses)
        return {
            address.name: tuple(problems)
            for address, problems in zip(addresses, found, strict=True)
            if problems
        }
