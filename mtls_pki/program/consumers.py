"""Who takes trust besides the declared Certificates: declared last, behind every cluster's gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mtls_pki.components.kubernetes_options import GuardedObject
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.declare import Declare, Place, Stack
from mtls_pki.program.arguments import trusted_roots
from mtls_pki.program.explanations import FailureHooks
from mtls_pki.program.per_cluster import Gate
from mtls_pki.settings.model import Settings


def declare(
    settings: Settings,
    directory: Path,
    anchors: Mapping[str, TrustAnchor],
    places: Mapping[str, Place],
    consumers: Iterable[Consumer],
) -> list[Declare]:
    """Declare every consumer of the stack, and return their declarations.

    Args:
        settings: of the stack.
        directory: of the project.
        anchors: by generation.
        places: by cluster.
        consumers: those that the stack names.
    """
    stack = Stack(
        settings=settings,
        directory=directory,
        anchors=anchors,
        roots=trusted_roots(settings, anchors),
        clusters=places,
    )
    declared = [consumer.declare()(stack) for consumer in consumers]
    for each in declared:
        each.declare()
    return declared


def place(gate: Gate, on_failure: FailureHooks) -> Place:
    """Return how consumers' objects are declared behind a gate."""
    deletion = gate.guard.deletion

    def keep(guarded: Iterable[GuardedObject], part: str) -> None:
        deletion.keep(gate.address.name, guarded, part=part)

    return Place(
        options=gate.behind,
        guard=gate.guard.behind,
        delete_guard=deletion.binding,
        on_failure=on_failure.plain,
        keep=keep,
    )
