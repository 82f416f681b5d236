"""Evidence of all clusters of a stack, read once per run and side by side.

Two rounds, because a chain can be judged only when all anchors are known: first what is trusted
(bundles and stage records) in every cluster, then what was issued. A root that one cluster's bundle
holds makes the leaves below it leaves of this domain in every other cluster too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509

from mtls_pki.clusters import local_clock
from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.identity import cluster_uid
from mtls_pki.clusters.sources.source import Issued, KnownTrust, Source, Trusted
from mtls_pki.clusters.sources.stage_record import StageRecord, read_stage_record
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.evidence import (
    ClusterEvidence,
    ClusterUnreachable,
    Evidence,
    GateObservation,
)
from mtls_pki.settings.extensions import CERT_MANAGER
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import partner_roots

T = TypeVar("T")

# Threads wait for API servers most of the time; more would not make the interpreter faster.
_CLUSTERS_SIDE_BY_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class _Trust:
    """What the first round reads of a cluster: who it is, its clock, its record, its bundles."""

    cluster: Cluster
    uid: str
    observed_at: datetime
    record: StageRecord
    found: tuple[Trusted, ...]


def collect_evidence(
    settings: Settings,
    *,
    sources: Sequence[Source] = SOURCES,
) -> Evidence:
    """Return what all clusters of the stack, and whatever else its sources ask, show now.

    A cluster that cannot be read, whole or in part, becomes a ``ClusterUnreachable`` with the
    reason, and the others are still read; nothing is raised for it. Times in the evidence are those
    of the API servers, so every cluster's own clock is part of it, and how far it is from this
    machine's.

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
    elsewhere = [_elsewhere(each.place, each.read(known)) for each in outside]
    unread = [
        ClusterUnreachable(cluster=each.place, error=each.unread) for each in outside if each.unread
    ]
    return Evidence(
        observed_at=known.at, clusters=(*read, *elsewhere, *unread), read_at=_local_time()
    )


def _elsewhere(place: str, issued: Issued) -> ClusterEvidence:
    return ClusterEvidence(
        cluster=place, leaves=issued.leaves, sessions=issued.sessions, remarks=issued.remarks
    )


def _or_unreachable(name: str, read: Callable[[], T]) -> T | ClusterUnreachable:
    try:
        return read()
    except ClusterError as error:
        return ClusterUnreachable(cluster=name, error=error.reason)


def _trust(settings: Settings, name: str, sources: Sequence[Source]) -> _Trust:
    cluster = Cluster(cluster_address(settings, name))
    uid = cluster_uid(cluster)
    if cluster.first_answer_at is None:
        raise ClusterError(
            name,
            f"{cluster.server} does not say what time it is (no Date in its answers), so no "
            "hold-down can be counted there; let no proxy between remove that header",
        )
    record = read_stage_record(cluster, settings)
    return _Trust(
        cluster=cluster,
        uid=uid,
        observed_at=cluster.first_answer_at,
        record=record,
        found=tuple(source.trusted(cluster, settings, record.gate) for source in sources),
    )


def _issued(
    settings: Settings, trust: _Trust, known: KnownTrust, sources: Sequence[Source]
) -> ClusterEvidence:
    issued = [source.issued(trust.cluster, settings, known) for source in sources]
    if trust.record.gate is not None or not settings.cert_manager.install:
        _require_cert_manager(trust.cluster, settings)
    return ClusterEvidence(
        cluster=trust.cluster.name,
        uid=trust.uid,
        observed_at=trust.observed_at,
        skew=trust.cluster.skew,
        bundles=tuple(bundle for found in trust.found for bundle in found.bundles),
        leaves=tuple(leaf for found in issued for leaf in found.leaves),
        issuers=tuple(issuer for found in issued for issuer in found.issuers),
        gate=trust.record.gate,
        untraceable=tuple(each for found in issued for each in found.untraceable),
        uses=tuple(use for found in issued for use in found.uses),
        remarks=tuple(each for found in issued for each in found.remarks),
        sessions=tuple(each for found in issued for each in found.sessions),
        owned=(
            *trust.record.owned,
            *(each for found in trust.found for each in found.owned),
            *(each for found in issued for each in found.owned),
        ),
    )


def _require_cert_manager(cluster: Cluster, settings: Settings) -> None:
    """Stop where cert-manager's API is not there although something was issued through it, or may.

    A cluster that begins has neither a stage record nor, where the stack installs it, cert-manager.
    Anywhere else its API went away, and the leaves that it showed did not.
    """
    missing = cluster.not_served(CERT_MANAGER.api_version)
    if not missing:
        return
    remedy = "install cert-manager with its CRDs"
    if settings.cert_manager.install:
        remedy = (
            "it was there, for the cluster has a stage record: install the CRDs of cert-manager "
            "again and restore its objects from a backup"
        )
    raise ClusterError(
        cluster.name,
        f"{CERT_MANAGER.api_version} is not served ({', '.join(missing)}), so nobody sees which "
        f"leaves were issued; {remedy}",
    )


def _observed_at(trust: Sequence[_Trust | ClusterUnreachable]) -> datetime:
    clocks = [one.observed_at for one in trust if isinstance(one, _Trust)]
    return min(clocks, default=_local_time())


def _local_time() -> datetime:
    now = local_clock.now()
    return now.replace(microsecond=0) + timedelta(seconds=bool(now.microsecond))


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
