"""The trust bundles of one cluster: what verifiers trust, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.clusters.sources.source import Source, Trusted
from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.errors import PkiError
from mtls_pki.rotation.evidence import BundleObservation, BundlePlace, observe_bundle
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import bundle_places

# On every target of a Bundle, with the Bundle's name (trust-manager,
# pkg/apis/trust/v1alpha1/types_bundle.go).
_BUNDLE_LABEL = "trust.cert-manager.io/bundle"


@dataclass(frozen=True, kw_only=True)
class BundleReading:
    """The bundles of one cluster, and their members for judging chains by.

    ``members`` holds whatever certificates verifiers trust, roots or not.
    """

    observations: tuple[BundleObservation, ...]
    members: frozenset[x509.Certificate]


class BundleSource(Source):
    """The bundles that this stack distributes."""

    def trusted(self, cluster: Cluster, settings: Settings) -> Trusted:
        """Read the bundles of one cluster, and who is trusted by them."""
        reading = read_bundles(cluster, settings)
        return Trusted(bundles=reading.observations, anchors=tuple(reading.members))


@dataclass(frozen=True, kw_only=True)
class _ConfigMap:
    namespace: str
    text: str | None
    changed_at: datetime | None
    by_trust_manager: bool


def read_bundles(cluster: Cluster, settings: Settings) -> BundleReading:
    """Return the bundle of every expected namespace, and those that trust-manager put elsewhere.

    A workload in a namespace that the configuration does not ask for can mount a bundle that
    trust-manager copied there too, so that bundle must hold what the others hold.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    trust = settings.trust

    def keep(live: dict[str, Any]) -> _ConfigMap:
        metadata: Mapping[str, Any] = live["metadata"]
        return _ConfigMap(
            namespace=metadata["namespace"],
            text=(live.get("data") or {}).get(trust.key),
            changed_at=owned_since(metadata, "f:data", f"f:{trust.key}"),
            by_trust_manager=(metadata.get("labels") or {}).get(_BUNDLE_LABEL) == trust.name,
        )

    # One request for all namespaces. The selector lets RBAC grant this one name and no other
    # ConfigMap: an exact metadata.name counts as the resource name (apiserver, requestinfo.go).
    query = {"fieldSelector": f"metadata.name={trust.name}"}
    found = {each.namespace: each for each in cluster.list_all("/api/v1/configmaps", keep, query)}
    expected = [place for place in bundle_places(settings) if place.cluster == cluster.name]
    besides = sorted(
        each.namespace
        for each in found.values()
        if each.by_trust_manager and each.namespace not in trust.namespaces
    )
    places = expected + [
        BundlePlace(cluster=cluster.name, namespace=namespace, name=trust.name, key=trust.key)
        for namespace in besides
    ]
    observations = tuple(_observe(place, found.get(place.namespace)) for place in places)
    texts = {found[place.namespace].text for place in places if place.namespace in found}
    return BundleReading(observations=observations, members=_members(texts))


def _observe(place: BundlePlace, live: _ConfigMap | None) -> BundleObservation:
    if live is None:
        return observe_bundle(place, None, changed_at=None)
    return observe_bundle(place, live.text, changed_at=live.changed_at)


def _members(texts: set[str | None]) -> frozenset[x509.Certificate]:
    """Return the certificates in the distinct texts; a damaged one is its bundle's problem."""
    found: set[x509.Certificate] = set()
    for text in texts:
        try:
            found.update(bundle_members(text or "", origin="bundle"))
        except PkiError:
            continue
    return frozenset(found)
