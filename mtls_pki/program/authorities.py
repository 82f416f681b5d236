"""The authorities that hold issuing CAs: looked at before the first change, then declared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtls_pki.backends.backend import Backend
from mtls_pki.backends.declare import Declare
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.program import clusters
from mtls_pki.program.per_cluster import Gate
from mtls_pki.settings.model import Settings


def prepare(
    settings: Settings, directory: Path, backends: Mapping[str, Backend]
) -> dict[str, Declare]:
    """Look whether every authority is ready for the stack.

    Args:
        settings: of the stack.
        directory: of the project.
        backends: those that the stack uses, by name.

    Raises:
        pulumi.RunError: one is not ready; with every reason.
    """
    return {
        name: backend.declare()(
            settings, directory, clusters.generations_in_use(settings, backend.settings)
        )
        for name, backend in backends.items()
    }


def declare(
    issuing: Mapping[str, Declare],
    anchors: Mapping[str, TrustAnchor],
    gates: Mapping[str, Gate],
) -> None:
    """Declare what the authorities hold, behind ``gates``.

    The gate of a cluster that cannot be reached is none of them: where that does not stop the run,
    it must not keep the other clusters from what the authorities have for them.
    """
    records = [gate.record for gate in gates.values()]
    for each in issuing.values():
        each.authority(anchors, records)
