"""A Secret that a cluster is to have again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class DeclaredSecret:
    """One Secret of the stack, as the cluster is to have it again.

    Attributes:
        cluster: its name in the stack.
        namespace: where it stands.
        name: of the Secret.
        manifest: the object, **keys included**.
    """

    cluster: str
    namespace: str
    name: str
    manifest: Mapping[str, Any]

    def __repr__(self) -> str:
        """Leave the keys out: a representation gets into tracebacks and logs."""
        return f"DeclaredSecret({self.place})"

    @property
    def place(self) -> str:
        """Cluster, namespace and name, for messages."""
        return f"{self.cluster}/{self.namespace} Secret {self.name}"
