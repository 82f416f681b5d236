"""The stack file of a drill: the stack's own, with throw-away anchors and short times."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mtls_pki.rotation.text import instant
from mtls_pki.settings.model import Settings

FIRST, SECOND = "g1", "g2"
HOLD_DOWN = timedelta(seconds=10)
"""Longer than the lab's kubelet needs to bring a change (lab/node.py)."""

_TAKEN = {"trustDomain", "clusters", "anchors", "issuing", "trust", "services"}
_AUTHORITIES = ("backend", "vault", "stepCa", "awsPca", "credentials")
_NAMESPACE = "cert-manager"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a drill applies.

    Attributes:
        values: of its stack file, by key without prefix.
        left_out: what of the stack it does not rehearse, in words.
    """

    values: Mapping[str, Any]
    left_out: tuple[str, ...]


def rehearsal(
    settings: Settings,
    values: Mapping[str, Any],
    kubeconfigs: Mapping[str, Path],
    *,
    at: datetime,
) -> Rehearsal:
    """Return the stack file of a drill.

    Args:
        settings: of the stack.
        values: what its file says, by key without prefix.
        kubeconfigs: of the lab, by cluster.
        at: now.
    """
    left_out = [f"`{key}`" for key in sorted(values) if key not in _TAKEN and values[key]]
    left_out += _left_out_of(settings, values)
    return Rehearsal(
        values={
            "trustDomain": settings.trust_domain,
            "clusters": {
                name: {
                    "kubeconfig": str(kubeconfigs[name]),
                    "clusterDomain": cluster.cluster_domain,
                }
                for name, cluster in settings.clusters.items()
            },
            "anchors": {FIRST: _anchor(settings, at)},
            "issuing": _issuing(values.get("issuing") or {}),
            "trust": _trust(values["trust"]),
            "services": {
                name: _without(entry, "anchor", "duration", "renewBefore")
                for name, entry in (values.get("services") or {}).items()
            },
        },
        left_out=tuple(left_out),
    )


def _left_out_of(settings: Settings, values: Mapping[str, Any]) -> list[str]:
    found = []
    brought = sorted(name for name, anchor in settings.anchors.items() if anchor.brought)
    if brought:
        found.append(
            f"anchors that were made elsewhere ({', '.join(brought)}): the drill makes its own, so "
            "nobody's signature is waited for"
        )
    if settings.issuing.stable:
        found.append("Certificates that other teams have on the stable issuer")
    authorities = sorted({settings.backend_of(name).name for name in settings.anchors} - {"ca"})
    for name in authorities:
        found.append(f"the authority `{name}`: the lab's issuing CAs are Secrets")
    if settings.issuing.cluster_resource_namespace != _NAMESPACE:
        found.append(f"`issuing.clusterResourceNamespace`: it is `{_NAMESPACE}` in the lab")
    found += [
        f"`trust.{key}`"
        for key in ("endpoints", "partners", "formerly")
        if values["trust"].get(key)
    ]
    pinned = sorted(name for name, each in settings.services.items() if each.anchor is not None)
    if pinned:
        found.append(f"`anchor` of {', '.join(pinned)}: all services are on the issuing anchor")
    return found


def _anchor(settings: Settings, at: datetime) -> dict[str, Any]:
    own = settings.anchors[settings.issuing_generation]
    return {
        "role": "issuing",
        "commonName": f"drill-{FIRST}.{settings.trust_domain}",
        "validFrom": instant(at.replace(microsecond=0) - timedelta(hours=1)),
        # Longer than any CA below it; its key lives for minutes.
        "validFor": "262800h",
        **({} if own.brought else {"keyAlgorithm": own.key_algorithm}),
    }


def _issuing(own: Mapping[str, Any]) -> dict[str, Any]:
    issuing = _without(own, *_AUTHORITIES, "clusterResourceNamespace", "leaf")
    # cert-manager's shortest; a drill waits for no renewal, for a new issuer means a new leaf.
    issuing["leaf"] = {"duration": "1h", "renewBefore": "30m"}
    if "intermediate" in issuing:
        issuing["intermediate"] = _without(issuing["intermediate"] or {}, "validFrom")
    return issuing


def _trust(own: Mapping[str, Any]) -> dict[str, Any]:
    trust = _without(own, "endpoints", "partners", "formerly")
    return {
        **trust,
        "createNamespaces": True,
        "holdDown": f"{int(HOLD_DOWN.total_seconds())}s",
    }


def _without(section: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    kept = {key: each for key, each in section.items() if key not in keys}
    return copy.deepcopy(kept)
