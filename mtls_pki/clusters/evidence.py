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
from mtls_pki.clusters.sources.bundles import BundleReading, read_bundles
from mtls_pki.clusters.sources.cert_manager import LeafReader
from mtls_pki.clusters.sources.endpoints import (
    ENDPOINTS,
    Endpoint,
    ServedChain,
    ask_endpoints,
    observe_endpoints,
)
from mtls_pki.clusters.sources.issuers import read_issuers
from mtls_pki.clusters.sources.stage_record import StageRecord, read_stage_record
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.evidence import ClusterEvidence, ClusterUnreachable, Evidence
from mtls_pki.settings.model import Settings

T = TypeVar("T")

# Threads wait for API servers most of the time; more would not make the interpreter faster.
_CLUSTERS_SIDE_BY_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class _Trust:
    """What the first round reads of a cluster."""

    cluster: Cluster
    bundles: BundleReading
    record: StageRecord


def _silent(_: str) -> None:
    """Say nothing."""


def collect_evidence(settings: Settings, *, warn: Callable[[str], None] = _silent) -> Evidence:
    """Return what all clusters of the stack, and its listed endpoints, show now.

    A cluster that cannot be read, whole or in part, becomes a ``ClusterUnreachable`` with the
    reason, and the others are still read; nothing is raised for it. ``observed_at`` is the time of
    the API servers, not of this machine, and of the one that is behind where they differ: the times
    in the evidence are theirs, and neither a hold-down nor an end may pass early because a clock
    here is ahead.

    Args:
        settings: the stack's settings.
        warn: is told of each endpoint that could not be asked.
    """
    names = tuple(settings.clusters)
    endpoints = [Endpoint.parse(text) for text in settings.trust.endpoints]
    # One more for the endpoints, which spread over threads of their own.
    with ThreadPoolExecutor(max_workers=min(_CLUSTERS_SIDE_BY_SIDE, len(names)) + 1) as pool:
        asking = pool.submit(ask_endpoints, endpoints)
        trust = list(
            pool.map(lambda name: _or_unreachable(name, lambda: _trust(settings, name)), names)
        )
        at = _observed_at(trust)
        anchors = _anchors(settings, trust)
        read = list(
            pool.map(
                lambda one: (
                    one
                    if isinstance(one, ClusterUnreachable)
                    else _or_unreachable(
                        one.cluster.name, lambda: _issued(settings, one, anchors, at)
                    )
                ),
                trust,
            )
        )
        served = asking.result()
    for each in served:
        if each.error is not None:
            warn(
                f"endpoint {each.endpoint} could not be asked ({each.error}); what it serves is "
                "not part of the evidence"
            )
    return Evidence(observed_at=at, clusters=(*read, *_served(served, anchors, at)))


def _or_unreachable(name: str, read: Callable[[], T]) -> T | ClusterUnreachable:
    try:
        return read()
    except ClusterError as error:
        return ClusterUnreachable(cluster=name, error=error.reason)


def _trust(settings: Settings, name: str) -> _Trust:
    cluster = Cluster(cluster_address(settings, name))
    return _Trust(
        cluster=cluster,
        bundles=read_bundles(cluster, settings),
        record=read_stage_record(cluster, settings),
    )


def _issued(
    settings: Settings, trust: _Trust, anchors: tuple[x509.Certificate, ...], at: datetime
) -> ClusterEvidence:
    issuers = read_issuers(trust.cluster, settings)
    leaves = LeafReader(
        cluster=trust.cluster, settings=settings, anchors=anchors, issuers=issuers, at=at
    )
    return ClusterEvidence(
        cluster=trust.cluster.name,
        bundles=trust.bundles.observations,
        leaves=leaves.read(),
        issuers=issuers.observations,
        gate=trust.record.gate,
    )


def _observed_at(trust: Sequence[_Trust | ClusterUnreachable]) -> datetime:
    clocks = [one.cluster.first_answer_at for one in trust if isinstance(one, _Trust)]
    known = [clock for clock in clocks if clock is not None]
    return min(known, default=datetime.now(UTC).replace(microsecond=0))


def _anchors(
    settings: Settings, trust: Sequence[_Trust | ClusterUnreachable]
) -> tuple[x509.Certificate, ...]:
    """Return every certificate that may be an anchor: recorded, trusted anywhere, or brought."""
    found: dict[x509.Certificate, None] = {}
    for one in trust:
        if isinstance(one, _Trust):
            found |= dict.fromkeys((*one.record.anchors, *one.bundles.members))
    for generation, anchor in settings.anchors.items():
        if anchor.certificate is not None:
            origin = f"anchors.{generation}.certificate"
            found |= dict.fromkeys(parse_certificates(anchor.certificate.pem, origin=origin))
    return tuple(found)


def _served(
    served: Sequence[ServedChain], anchors: tuple[x509.Certificate, ...], at: datetime
) -> tuple[ClusterEvidence, ...]:
    if not served:
        return ()
    leaves = observe_endpoints(served, anchors)
    return (
        ClusterEvidence(cluster=ENDPOINTS, leaves=tuple(leaf for leaf in leaves if leaf.live(at))),
    )
