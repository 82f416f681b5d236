"""What the configuration gives up on purpose, said in every run, so that the review shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.places import leaving_places
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Notice, Refusal


def abandoned(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Notice]:
    """Yield what is given up, who still uses it, and each entry that gives up nothing."""
    if not request.abandon:
        return
    refused = _refusals(request, evidence, now)
    everything = _refusals(replace(request, abandon=frozenset()), evidence, now)
    for refusal in everything:
        if refusal not in refused:
            yield Notice(
                identifier="abandoned",
                message=f"given up on purpose (abandon): {'; '.join(refusal.seen)}",
                laggards=refusal.laggards,
            )
    for entry in sorted(request.abandon - {"stack"}):
        without = replace(request, abandon=request.abandon - {entry})
        if _refusals(without, evidence, now) == refused:
            yield Notice(
                identifier="abandon-unused",
                message=f"abandon names {entry}, which does not leave, or which nobody uses; "
                "remove the entry, so that it waives nothing later",
            )


def _refusals(request: ChangeRequest, evidence: Evidence, now: datetime) -> list[Refusal]:
    return [
        *leaving_places(request, evidence, now),
        *cluster_refusals(evidence, evidence.pinned, abandon=request.abandon),
    ]
