"""The trust bundles of one cluster: what verifiers trust, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.clusters.sources.source import Source, Trusted
from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.errors import PkiError
from mtls_pki.rotation.evidence import BundleObservation, BundlePlace, GateObservation
from mtls_pki.rotation.observation import observe_bundle
from mtls_pki.rotation.owned_object import Claim, OwnedObject
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import former_trust_name
from mtls_pki.settings.trust_domain import bundle_places

_BUNDLES = "/apis/trust.cert-manager.io/v1alpha1/bundles"
# On every target of a Bundle, with the Bundle's name (trust-manager,
# pkg/apis/trust/v1alpha1/types_bundle.go).
_BUNDLE_LABEL = "trust.cert-manager.io/bundle"


@dataclass(frozen=True, kw_only=True)
class _ConfigMap:
    namespace: str
    name: str
    data: Mapping[str, str]
    metadata: Mapping[str, Any]

    @property
    def by_trust_manager(self) -> bool:
        return bool((self.metadata.get("labels") or {}).get(_BUNDLE_LABEL) == self.name)

    def changed_at(self, key: str) -> datetime | None:
        return owned_since(self.metadata, "f:data", f"f:{key}")


class BundleSource(Source):
    """The bundles that this stack distributes, has distributed, or finds in their place."""

    def trusted(
        self, cluster: Cluster, settings: Settings, gate: GateObservation | None
    ) -> Trusted:
        """Return every place that the configuration asks for, and every other that has a bundle.

        Others are places that the record names, and those where trust-manager put a copy although
        the configuration does not ask for one: a workload there can mount it, so it must hold what
        the others hold.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        asked = [place for place in bundle_places(settings) if place.cluster == cluster.name]
        recorded = list(_recorded_places(cluster.name, settings, gate))
        found = {
            (each.name, each.namespace): each
            for name in dict.fromkeys(place.name for place in (*asked, *recorded))
            for each in _config_maps(cluster, name)
        }
        besides = [place for place in recorded if place.key in _data(found, place)]
        besides += _copies(cluster.name, asked, found.values())
        if gate is not None and gate.domain is None:
            besides += _under_another_key(asked, found)
        places = dict.fromkeys((*asked, *besides))
        observations = tuple(_observe(place, found) for place in places)
        texts = {_data(found, place).get(place.key) for place in places}
        return Trusted(
            bundles=observations,
            anchors=tuple(readable_members(texts)),
            owned=(
                *_owned(cluster.name, settings.claim, asked, found),
                *_bundle_object(cluster, settings),
            ),
        )


def _bundle_object(cluster: Cluster, settings: Settings) -> Iterator[OwnedObject]:
    """Yield whose the Bundle is that trust-manager would copy from."""
    if settings.trust.via == "trust-manager":
        live = cluster.get(f"{_BUNDLES}/{settings.trust.name}")
        if live is not None:
            yield owned_object(cluster.name, "Bundle", live["metadata"])


def _owned(
    cluster: str,
    claim: Claim,
    asked: Iterable[BundlePlace],
    found: Mapping[tuple[str, str], _ConfigMap],
) -> Iterator[OwnedObject]:
    """Yield whose the ConfigMaps are that the stack would write, or has left elsewhere.

    Copies are trust-manager's.
    """
    asked_for = {(place.name, place.namespace) for place in asked}
    for key, live in found.items():
        if live.by_trust_manager:
            continue
        owned = owned_object(cluster, "ConfigMap", live.metadata)
        if key in asked_for:
            yield owned
        elif (left := claim.left(owned)) is not None:
            yield left


def _config_maps(cluster: Cluster, name: str) -> list[_ConfigMap]:
    def keep(live: dict[str, Any]) -> _ConfigMap:
        metadata: Mapping[str, Any] = live["metadata"]
        return _ConfigMap(
            namespace=metadata["namespace"],
            name=name,
            data=live.get("data") or {},
            metadata=metadata,
        )

    # One request for all namespaces. The selector lets RBAC grant this one name and no other
    # ConfigMap: an exact metadata.name counts as the resource name (apiserver, requestinfo.go).
    query = {"fieldSelector": f"metadata.name={name}"}
    return cluster.list_all("/api/v1/configmaps", keep, query)


def _recorded_places(
    cluster: str, settings: Settings, gate: GateObservation | None
) -> Iterator[BundlePlace]:
    """Yield where the bundle was when the record was written."""
    if gate is None:
        return
    if gate.domain is None:
        # An earlier release recorded no places, but called the record after the bundle.
        name = former_trust_name(gate.object_name)
        if name is not None:
            for namespace in settings.trust.namespaces:
                key = settings.trust.key
                yield BundlePlace(cluster=cluster, namespace=namespace, name=name, key=key)
        return
    for form in sorted(gate.domain.bundles):
        for namespace in sorted(gate.domain.namespaces):
            yield BundlePlace(cluster=cluster, namespace=namespace, name=form.name, key=form.key)


def _copies(
    cluster: str, asked: Iterable[BundlePlace], found: Iterable[_ConfigMap]
) -> Iterator[BundlePlace]:
    """Yield where trust-manager put the bundle without being asked to by this stack."""
    keys = {place.name: place.key for place in asked}
    for each in sorted(found, key=lambda one: (one.name, one.namespace)):
        key = keys.get(each.name)
        if each.by_trust_manager and key is not None:
            yield BundlePlace(cluster=cluster, namespace=each.namespace, name=each.name, key=key)


def _under_another_key(
    asked: Iterable[BundlePlace], found: Mapping[tuple[str, str], _ConfigMap]
) -> Iterator[BundlePlace]:
    """Yield bundles in the right ConfigMap under a key that the configuration does not name."""
    for place in asked:
        data = _data(found, place)
        for key in sorted(data.keys() - {place.key}) if place.key not in data else ():
            if any(readable_members({data[key]})):
                yield BundlePlace(
                    cluster=place.cluster, namespace=place.namespace, name=place.name, key=key
                )


def _data(found: Mapping[tuple[str, str], _ConfigMap], place: BundlePlace) -> Mapping[str, str]:
    live = found.get((place.name, place.namespace))
    return live.data if live is not None else {}


def _observe(place: BundlePlace, found: Mapping[tuple[str, str], _ConfigMap]) -> BundleObservation:
    live = found.get((place.name, place.namespace))
    if live is None:
        return observe_bundle(place, None, changed_at=None)
    return observe_bundle(place, live.data.get(place.key), changed_at=live.changed_at(place.key))


def readable_members(texts: Iterable[str | None]) -> Iterator[x509.Certificate]:
    """Yield the certificates in the distinct texts; a damaged one is its bundle's problem."""
    for text in texts:
        try:
            yield from bundle_members(text or "", origin="bundle")
        except PkiError:
            continue
