"""A Secret that a cluster is to have again."""

from __future__ import annotations

import base64
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

    def same_as(self, live: Mapping[str, Any]) -> bool:
        """Whether a live Secret has this one's content; labels and annotations do not count."""
        return _content(self.manifest) == _content(live)

    @property
    def place(self) -> str:
        """Cluster, namespace and name, for messages."""
        return f"{self.cluster}/{self.namespace} Secret {self.name}"


def _content(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    encoded, plain = manifest.get("data") or {}, manifest.get("stringData") or {}
    return {
        **{key: base64.b64decode(value) for key, value in encoded.items()},
        # The API server lets it win over `data`.
        **{key: str(value).encode() for key, value in plain.items()},
    }
