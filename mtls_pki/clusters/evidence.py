"""Evidence of all clusters of a stack, read once per run and side by side.

Two rounds, because a chain can be judged only when all anchors are known: first what is trusted
(bundles and stage records) in every cluster, then what was issued. A root that one cluster's bundle
holds makes the leaves below it leaves of this domain in every other cluster too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509

from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.sources.source import KnownTrust, Source, Trusted
from mtls_pki.clusters.sources.stage_record import StageRecord, read_stage_record
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.evidence import (
    ClusterEvidence,
    ClusterUnreachable,
    Evidence,
    GateObservation,
)
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import partner_roots

T = TypeVar("T")

# Threads wait for API servers most of the time; more would not make the interpreter faster.
_CLUSTERS_SIDE_BY_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class _Trust:
    """What the first round reads of a cluster, by source."""

    cluster: Cluster
    record: StageRecord
    found: tuple[Trusted, ...]


def collect_evidence(
    settings: Settings,
    *,
    sources: Sequence[Source] = SOURCES,
) -> Evidence:
    """Return what all clusters of the stack, and whatever else its sources ask, show now.

    A cluster that cannot be read, whole or in part, becomes a ``ClusterUnreachable`` with the
    reason, and the others are still read; nothing is raised for it. ``observed_at`` is the time of
    the API servers, not of this machine, and of the one that is behind where they differ: the times
    in the evidence are theirs, and neither a hold-down nor an end may pass early because a clock
    here is ahead.

    Args:
        settings: the stack's settings.
        sources: where evidence comes from (``mtls_pki.registry.sources_of``).
    """
    names = tuple(settings.clusters)
    # One thread more for endpoints outside of the clusters, which use threads of their own.
    with ThreadPoolExecutor(max_workers=min(_CLUSTERS_SIDE_BY_SIDE, len(names)) + 1) as pool:
        asking = pool.submit(lambda: [source.outside(settings) for source in sources])
        trust = list(
            pool.map(
                lambda name: _or_unreachable(name, lambda: _trust(settings, name, sources)), names
            )
        )
        known = KnownTrust(
            anchors=_anchors(settings, trust), at=_observed_at(trust), gates=_gates(trust)
        )
        read = list(
            pool.map(
                lambda one: (
                    one
                    if isinstance(one, ClusterUnreachable)
                    else _or_unreachable(
                        one.cluster.name, lambda: _issued(settings, one, known, sources)
                    )
                ),
                trust,
            )
        )
        outside = [found for found in asking.result() if found is not None]
    elsewhere = [
        ClusterEvidence(cluster=each.place, leaves=each.read(known).leaves) for each in outside
    ]
    unread = [
        ClusterUnreachable(cluster=each.place, error=each.unread) for each in outside if each.unread
    ]
    return Evidence(observed_at=known.at, clusters=(*read, *elsewhere, *unread))


def _or_unreachable(name: str, read: Callable[[], T]) -> T | ClusterUnreachable:
    try:
        return read()
    except ClusterError as error:
        return ClusterUnreachable(cluster=name, error=error.reason)


def _trust(settings: Settings, name: str, sources: Sequence[Source]) -> _Trust:
    cluster = Cluster(cluster_address(settings, name))
    record = read_stage_record(cluster, settings)
    return _Trust(
        cluster=cluster,
        record=record,
        found=tuple(source.trusted(cluster, settings, record.gate) for source in sources),
    )


def _issued(
    settings: Settings, trust: _Trust, known: KnownTrust, sources: Sequence[Source]
) -> ClusterEvidence:
    issued = [source.issued(trust.cluster, settings, known) for source in sources]
    return ClusterEvidence(
        cluster=trust.cluster.name,
        bundles=tuple(bundle for found in trust.found for bundle in found.bundles),
        leaves=tuple(leaf for found in issued for leaf in found.leaves),
        issuers=tuple(issuer for found in issued for issuer in found.issuers),
        gate=trust.record.gate,
        untraceable=tuple(each for found in issued for each in found.untraceable),
    )


def _observed_at(trust: Sequence[_Trust | ClusterUnreachable]) -> datetime:
    clocks = [one.cluster.first_answer_at for one in trust if isinstance(one, _Trust)]
    known = [clock for clock in clocks if clock is not None]
    return min(known, default=datetime.now(UTC).replace(microsecond=0))


def _gates(trust: Sequence[_Trust | ClusterUnreachable]) -> tuple[GateObservation, ...]:
    records = (one.record.gate for one in trust if isinstance(one, _Trust))
    return tuple(gate for gate in records if gate is not None)


def _anchors(
    settings: Settings, trust: Sequence[_Trust | ClusterUnreachable]
) -> tuple[x509.Certificate, ...]:
    """Return all certificates that may be anchors: recorded, trusted, or made elsewhere."""
    found: dict[x509.Certificate, None] = {}
    for one in trust:
        if isinstance(one, _Trust):
            found |= dict.fromkeys(one.record.anchors)
            for source in one.found:
                found |= dict.fromkeys(source.anchors)
    for generation, anchor in settings.anchors.items():
        if anchor.certificate is not None:
            origin = f"anchors.{generation}.certificate"
            found |= dict.fromkeys(parse_certificates(anchor.certificate.pem, origin=origin))
    for name, pem in partner_roots(settings).items():
        found |= dict.fromkeys(parse_certificates(pem, origin=f"trust.partners.{name}"))
    return tuple(found)
