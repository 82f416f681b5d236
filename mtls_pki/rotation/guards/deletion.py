"""Who needs an object that an option of the engine would take away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mtls_pki.rotation.evidence import Evidence, LeafObservation

Need = Callable[[LeafObservation], bool]
"""Whether a live leaf of the domain needs an object."""


def every_leaf(_: LeafObservation) -> bool:
    """Of a bundle and of a gate: whoever reads the bundle meets leaves of all clusters."""
    return True


def issued_by(cluster: str, issuer: str) -> Need:
    """Of the issuer ``Kind/name`` and what belongs to it: there its leaves are renewed."""
    return lambda leaf: (leaf.cluster, leaf.issuer) == (cluster, issuer)


def kept_by(cluster: str, namespace: str, name: str) -> Need:
    """Of a Certificate: without it nobody renews its leaf, and nobody can tell who uses it."""
    return lambda leaf: (leaf.cluster, leaf.namespace, leaf.name) == (cluster, namespace, name)


def leaves_in_need(evidence: Evidence, now: datetime, need: Need) -> tuple[LeafObservation, ...]:
    """Return the live leaves that need an object; one whose signer is not known counts.

    Args:
        evidence: of all clusters.
        now: aware UTC.
        need: which leaves need it.
    """
    return tuple(
        leaf
        for leaf in evidence.leaves
        if leaf.live(now) and (leaf.signers or leaf.problem is not None) and need(leaf)
    )
