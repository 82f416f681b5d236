"""Small stacks, each with names of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def small_stack(name: str, kubeconfig: Path, **sections: Any) -> dict[str, Any]:
    """One cluster, one generated anchor, one namespace that is created, two services.

    Args:
        name: of the namespace, the issuers and the bundle.
        kubeconfig: of the cluster, which is called ``dev``.
        sections: top-level keys, laid over these; of ``issuing`` and ``trust`` key by key.
    """
    base: dict[str, Any] = {
        "trustDomain": f"{name}.example.org",
        "clusters": {"dev": {"kubeconfig": str(kubeconfig)}},
        "anchors": {"g1": generated("g1", name)},
        "issuing": {"kind": "Issuer", "name": f"{name}-ca"},
        "trust": {
            "name": f"{name}-trust",
            "namespaces": [name],
            "createNamespaces": True,
            "holdDown": "1s",
        },
        "services": {"web": {"namespace": name}, "db": {"namespace": name}},
    }
    for key, value in sections.items():
        merge = isinstance(value, dict) and key in ("issuing", "trust")
        base[key] = {**base[key], **value} if merge else value
    return base


def generated(generation: str, name: str, role: str = "issuing") -> dict[str, str]:
    """An anchor whose key the stack makes."""
    return {
        "role": role,
        "commonName": f"root-{generation}.{name}.example.org",
        "validFrom": "2026-11-01T00:00:00Z",
        "validFor": "87600h",
    }
