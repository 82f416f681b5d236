"""Who needs an object that an option of the engine would take away."""

from __future__ import annotations

from datetime import datetime

from mtls_pki.rotation.evidence import Evidence, LeafObservation


def leaves_in_need(
    evidence: Evidence, now: datetime, *, cluster: str, issuer: str | None
) -> tuple[LeafObservation, ...]:
    """Return the live leaves that need an object.

    A bundle and a gate are needed by every leaf of the domain: whoever reads the bundle meets
    leaves of all its clusters. An issuer is needed by the leaves that it issued, for they are
    renewed there. A leaf whose signer is not known counts.

    Args:
        evidence: of all clusters.
        now: aware UTC.
        cluster: of the object.
        issuer: ``Kind/name`` of the issuer that the object is or belongs to; None for bundles and
            gates.
    """
    return tuple(
        leaf
        for leaf in evidence.leaves
        if leaf.live(now)
        and (leaf.signers or leaf.problem is not None)
        and (issuer is None or (leaf.cluster == cluster and leaf.issuer == issuer))
    )
