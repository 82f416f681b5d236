"""What the stack called its clusters before: read before anything is declared in one of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.sources.stage_record import read_stage_record
from mtls_pki.settings.model import Settings


def former_names(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the former names of each cluster, the latest first; a cluster without any has ``()``.

    They come from the cluster's own record, and from ``formerly`` for a record that an earlier
    release wrote. A cluster that cannot be read raises nothing: whoever needs it says so.
    """
    names = tuple(settings.clusters)
    with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
        return dict(zip(names, pool.map(lambda name: _of(settings, name), names), strict=True))


def _of(settings: Settings, name: str) -> tuple[str, ...]:
    formerly = settings.clusters[name].formerly
    try:
        gate = read_stage_record(Cluster(cluster_address(settings, name)), settings).gate
    except ClusterError:
        gate = None
    known = (*(gate.cluster_names if gate else ()), *([formerly] if formerly else ()))
    return tuple(each for each in dict.fromkeys(known) if each != name)
