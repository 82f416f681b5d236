"""Stack configurations of the benchmarks; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mtls_pki.rotation.durations import format_duration

PROJECT = "mtls-pki"
NAMESPACE = "bench-stack"
"""Where the stack declares its Certificates."""
COMPARED = "bench-compared"
"""Where the same Certificates are applied by other means."""
BUNDLE = "mesh-trust"


def services(count: int) -> dict[str, Any]:
    """Return ``count`` services that ask for nothing special."""
    return {f"service-{number:05}": {"namespace": NAMESPACE} for number in range(count)}


def anchor(generation: str, role: str) -> dict[str, Any]:
    """Return an anchor that was generated some time ago."""
    return {
        "role": role,
        "commonName": f"root-{generation}.bench.example.org",
        "validFrom": "2026-01-01T00:00:00Z",
        "validFor": "175200h",
    }


def settings(
    *,
    cluster: str,
    kubeconfig: str,
    anchors: Mapping[str, str],
    count: int,
    hold_down: timedelta,
) -> dict[str, Any]:
    """Return settings with ``count`` services.

    Args:
        anchors: generation -> role.
        hold_down: whole seconds.
    """
    return {
        "trustDomain": "bench.example.org",
        "clusters": {cluster: {"kubeconfig": kubeconfig}},
        "anchors": {generation: anchor(generation, role) for generation, role in anchors.items()},
        "issuing": {
            "kind": "ClusterIssuer",
            "intermediate": {"validFor": "87600h"},
            # Cert-manager issues about ten a second, and all of them may wait for the last.
            "readyTimeout": "30m",
        },
        "trust": {
            "name": BUNDLE,
            "namespaces": [NAMESPACE, COMPARED],
            "createNamespaces": True,
            "holdDown": format_duration(hold_down),
        },
        "services": services(count),
    }


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of the stack of one backend, where that of another is on the same control plane."""

    backend: str

    @property
    def namespace(self) -> str:
        """Where the stack declares its Certificates."""
        return f"{NAMESPACE}-{self.backend}"

    @property
    def compared(self) -> str:
        """Where the same Certificates are applied by other means."""
        return f"{COMPARED}-{self.backend}"


def settings_of(
    backend: str,
    *,
    cluster: str,
    kubeconfig: str,
    count: int,
    hold_down: timedelta,
    issuing: Mapping[str, Any],
) -> dict[str, Any]:
    """Return settings with ``count`` services whose issuing CA ``backend`` holds.

    Args:
        backend: as ``issuing.backend`` spells it.
        hold_down: whole seconds.
        issuing: what its section says, and more of ``issuing``.
    """
    values = settings(
        cluster=cluster,
        kubeconfig=kubeconfig,
        anchors={"g1": "issuing"},
        count=count,
        hold_down=hold_down,
    )
    own = apart(values, backend)
    return {**own, "issuing": {**own["issuing"], "backend": backend, **issuing}}


def apart(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return settings with names of their own, beside those of others on one control plane."""
    names = Names(backend=name)
    return {
        **values,
        "issuing": {**values["issuing"], "name": f"mtls-{name}"},
        "trust": {
            **values["trust"],
            "name": f"{BUNDLE}-{name}",
            "namespaces": [names.namespace, names.compared],
        },
        "services": {each: {"namespace": names.namespace} for each in values["services"]},
    }


def stack_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``Pulumi.<stack>.yaml`` for the program's settings."""
    return {"config": {f"{PROJECT}:{key}": value for key, value in values.items()}}
