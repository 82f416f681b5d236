"""Which clusters the stack had, as the engine remembers it.

The record of a cluster is in that cluster. A kubeconfig that reaches another one shows none, and a
refresh takes every object of the stack out of the state then. What the stack has exported stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi import Output

from mtls_pki.components.core_objects import ConfigMap
from mtls_pki.rotation.domain import DOMAIN_KEY, Domain
from mtls_pki.settings.names import CLUSTERS_OUTPUT

# A function of the engine itself; a StackReference reads by it, and would be a resource.
_READ = "pulumi:pulumi:readStackOutputs"


def remembered_clusters() -> dict[str, str]:
    """Return the UIDs that the last complete update exported, by name of the cluster."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    answer: Any = pulumi.runtime.invoke(_READ, {"name": _once_written(name)}).value
    found: Mapping[str, Any] = (answer.get("outputs") or {}).get(CLUSTERS_OUTPUT) or {}
    return {str(cluster): str(uid) for cluster, uid in found.items()}


def _once_written(name: str) -> Output[str] | str:
    """Return the name when the engine has written what it does with the stack itself.

    Both go to one object of the store, and not every store reads and writes an object at once.
    """
    root = pulumi.runtime.get_root_resource()
    return name if root is None else root.urn.apply(lambda _urn: name)


def export_clusters(records: Iterable[ConfigMap]) -> None:
    """Export the UIDs that the gates record; nothing where an earlier release wrote all of them."""
    written = Output.all(*(record.data for record in records))
    pulumi.export(CLUSTERS_OUTPUT, written.apply(_recorded))


def _recorded(written: Iterable[Mapping[str, str] | None]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for data in written:
        if data and DOMAIN_KEY in data:
            clusters = Domain.from_json(data[DOMAIN_KEY], origin="the gate").clusters
            found |= {name: uid for name, uid in clusters.items() if uid}
    return found or None
