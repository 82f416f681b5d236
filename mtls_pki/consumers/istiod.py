"""What istiod of a cluster hands out and signs, for every consumer that concerns meshes.

istiod writes its roots into every namespace, in the order in which it was given them. What it
signed is listed nowhere, so time bounds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.clusters.sources.source import KnownTrust
from mtls_pki.rotation.evidence import BundleObservation, BundlePlace, LeafObservation
from mtls_pki.rotation.observation import observe_bundle, observe_leaf

RIGHTS = "deploy/rbac-istio.yaml"

_WORKLOADS = "workload certificates"
_CONFIG_MAP, _KEY = "istio-ca-root-cert", "root-cert.pem"
_BUNDLES_API = "certificates.k8s.io/v1beta1"
# In place of the ConfigMaps, with ENABLE_CLUSTER_TRUST_BUNDLE_API (istio, namespacecontroller.go).
_BUNDLE = "istio.io:istiod-ca:root-cert"


@dataclass(frozen=True)
class Roots:
    """What istiod hands out in one object.

    Attributes:
        pem: None where the object or its key is missing.
    """

    place: BundlePlace
    pem: str | None
    changed_at: datetime | None

    def observed(self, hint: str) -> BundleObservation:
        """Return it as a bundle; ``hint`` says who writes it, and what to do where he does not."""
        return observe_bundle(self.place, self.pem, changed_at=self.changed_at, hint=hint)


def handed_out(cluster: Cluster) -> list[Roots]:
    """Return the roots of every namespace of a cluster; empty where no istiod has written any.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    return [*_config_maps(cluster), *_trust_bundle(cluster)]


def missing(cluster: str, namespace: str) -> Roots:
    """Return what stands for roots that istiod of a cluster should have written."""
    return Roots(place=_place(cluster, namespace), pem=None, changed_at=None)


def _place(cluster: str, namespace: str) -> BundlePlace:
    return BundlePlace(cluster=cluster, namespace=namespace, name=_CONFIG_MAP, key=_KEY)


def _config_maps(cluster: Cluster) -> list[Roots]:
    def keep(live: dict[str, Any]) -> Roots:
        metadata: Mapping[str, Any] = live["metadata"]
        return Roots(
            place=_place(cluster.name, metadata["namespace"]),
            pem=(live.get("data") or {}).get(_KEY),
            changed_at=owned_since(metadata, "f:data", f"f:{_KEY}"),
        )

    # One request for all namespaces; see clusters/sources/bundles for the selector.
    query = {"fieldSelector": f"metadata.name={_CONFIG_MAP}"}
    return cluster.list_all("/api/v1/configmaps", keep, query)


def _trust_bundle(cluster: Cluster) -> list[Roots]:
    live = None
    if cluster.serves(_BUNDLES_API):
        live = cluster.get(f"/apis/{_BUNDLES_API}/clustertrustbundles/{_BUNDLE}")
    if live is None:
        return []
    place = BundlePlace(
        cluster=cluster.name,
        namespace="",
        name=_BUNDLE,
        key="trustBundle",
        kind="ClusterTrustBundle",
    )
    changed_at = owned_since(live["metadata"], "f:spec", "f:trustBundle")
    return [Roots(place=place, pem=live["spec"].get("trustBundle"), changed_at=changed_at)]


def signed(
    *,
    cluster: str,
    namespace: str,
    issuer: str,
    chain_pem: str | None,
    since: datetime | None,
    taken_within: timedelta,
    ttl: timedelta,
    trust: KnownTrust,
    by_time_alone: bool = True,
) -> Iterator[LeafObservation]:
    """Yield what stands for all that an istiod signed: leaves of now, and of before.

    Args:
        cluster: of istiod.
        namespace: of istiod.
        issuer: who signs, for messages.
        chain_pem: its CA and what is above it.
        since: when it was given that CA; None where nothing tells.
        taken_within: how long it may have signed with the CA of before after that.
        ttl: the longest lifetime of what it signs.
        trust: what is known of the domain.
        by_time_alone: it signs with what it should, so only the end of old leaves is awaited.
    """
    present = observe_leaf(
        cluster=cluster,
        namespace=namespace,
        name="istiod",
        kind=_WORKLOADS,
        declared=False,
        issuer=issuer,
        chain_pem=chain_pem,
        anchors=trust.anchors,
        issued_at=since,
    )
    end = min(filter(None, (present.not_after, trust.at + ttl)))
    yield replace(present, not_after=end, predecessor=frozenset(), unlisted=by_time_alone)
    until = since + taken_within + ttl if since is not None else None
    if until is not None and until <= trust.at:
        return
    yield from trust.of_others(
        present,
        name=present.name,
        kind=present.kind,
        issuer="istiod before its last change",
        not_after=until,
    )
