"""What istiod of each cluster trusts and signs, read without a single Secret.

That istiod took a stage is seen in what it writes itself, and nowhere else: an istiod that was away
while two anchors were trusted refuses the next stage, and only a line of its log says so (istio,
pilot/pkg/bootstrap/istio_ca.go, handleEvent). What it signed is listed nowhere, so time bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import yaml

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.clusters.sources.bundles import readable_members
from mtls_pki.clusters.sources.source import (
    Issued,
    KnownTrust,
    Source,
    Trusted,
    rights_of,
)
from mtls_pki.consumers.istio.names import istio_clusters, istio_settings
from mtls_pki.consumers.istio.objects import (
    CERTIFICATES,
    CHAIN_KEY,
    EXTERNAL_CA,
    LIFETIMES,
    MULTI_ROOT,
    PROXY_ROOTS,
    RA,
    SIGNER_KEY,
)
from mtls_pki.consumers.istio.section import IstioSettings
from mtls_pki.consumers.istiod import RIGHTS, handed_out, missing, signed
from mtls_pki.rotation.durations import DurationError, format_duration, parse_duration
from mtls_pki.rotation.evidence import (
    GateObservation,
)
from mtls_pki.settings.model import Settings

_ISTIOD = {"labelSelector": "app=istiod"}
_HINTS = {
    "istiod": "istiod writes it, and refuses roots that share none with those it holds: let "
    "kubelet bring cacerts (a minute and a half), look for ROOT-CA in its log, and restart istiod "
    "if it stays",
    # Its two handlers of a new mesh configuration run in any order, and the one that writes may
    # see the roots of before (istio, pilot/pkg/bootstrap/certcontroller.go, initDNSCertsK8SRA).
    "cert-manager": "istiod writes it from its mesh configuration: roll out `pulumi stack output "
    "istioValues`, and restart istiod if it stays",
}


class IstioSource(Source):
    """The roots that istiod hands out, and what it signs."""

    def trusted(
        self, cluster: Cluster, settings: Settings, gate: GateObservation | None
    ) -> Trusted:
        """Return istiod's roots in every namespace, once it has its CA from this stack.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        del gate
        istio = istio_settings(settings)
        if istio is None or cluster.name not in istio_clusters(settings):
            return Trusted()
        with rights_of(cluster, RIGHTS):
            return self._trusted(cluster, istio)

    def _trusted(self, cluster: Cluster, istio: IstioSettings) -> Trusted:
        given = cluster.get(_certificates_path(istio))
        if given is None:
            # Before that istiod is a trust domain of its own, which no anchor here concerns.
            return Trusted()
        roots = handed_out(cluster) or [missing(cluster.name, istio.namespace)]
        return Trusted(
            bundles=tuple(each.observed(_HINTS[istio.signer]) for each in roots),
            anchors=tuple(readable_members(dict.fromkeys(each.pem for each in roots))),
            owned=(owned_object(cluster.name, "ConfigMap", given["metadata"]),),
        )

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        """Return what stands for all that istiod signed: two leaves, of now and of before.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        istio = istio_settings(settings)
        if istio is None or cluster.name not in istio_clusters(settings):
            return Issued()
        with rights_of(cluster, RIGHTS):
            given = cluster.get(_certificates_path(istio))
            if given is None:
                return Issued()
            environments = _istiods(cluster, istio)
            remarks = tuple(_remarks(cluster, istio, environments))
        ttl = max([istio.workload_cert_ttl, *_lifetimes(environments)])
        return Issued(
            leaves=tuple(
                signed(
                    cluster=cluster.name,
                    namespace=istio.namespace,
                    issuer="istiod",
                    chain_pem=(given.get("data") or {}).get(CHAIN_KEY),
                    since=owned_since(given["metadata"], "f:data", f"f:{SIGNER_KEY}"),
                    # kubelet brings the Secret within it, and until then istiod signs as before.
                    taken_within=settings.trust.hold_down,
                    ttl=ttl,
                    trust=trust,
                )
            ),
            remarks=remarks,
        )


def _certificates_path(istio: IstioSettings) -> str:
    return f"/api/v1/namespaces/{istio.namespace}/configmaps/{CERTIFICATES}"


def _istiods(cluster: Cluster, istio: IstioSettings) -> list[dict[str, str]]:
    """Return the environment of every Deployment of istiod."""

    def keep(live: dict[str, Any]) -> dict[str, str]:
        containers = live["spec"]["template"]["spec"].get("containers") or ()
        return {
            str(each["name"]): str(each.get("value", ""))
            for container in containers
            for each in container.get("env") or ()
        }

    return cluster.list_all(
        f"/apis/apps/v1/namespaces/{istio.namespace}/deployments", keep, _ISTIOD
    )


def _lifetimes(environments: Iterable[Mapping[str, str]]) -> Iterator[timedelta]:
    for environment in environments:
        for name in LIFETIMES:
            try:
                yield parse_duration(environment.get(name, ""))
            except DurationError:
                continue


def _remarks(
    cluster: Cluster, istio: IstioSettings, environments: list[dict[str, str]]
) -> Iterator[str]:
    """Yield what stands in the way of the next rotation, and what makes it longer."""
    if not environments:
        yield (
            f"no Deployment with the label app=istiod is in {istio.namespace}, so nobody sees "
            "whether its istiod takes a second root"
        )
    yield from _REMARKS_OF_SIGNER[istio.signer](environments)
    if any(LIFETIMES[1] not in environment for environment in environments):
        yield (
            f"istiod runs without {LIFETIMES[1]}, so a workload may ask for a certificate of 90 "
            "days; roll it out with `pulumi stack output istioValues`"
        )
    longest = max(_lifetimes(environments), default=istio.workload_cert_ttl)
    if longest > istio.workload_cert_ttl:
        yield (
            f"istiod signs for up to {format_duration(longest)}, longer than "
            f"consumers.istio.workloadCertTtl ({format_duration(istio.workload_cert_ttl)}); an "
            "outgoing anchor stays as long as that"
        )
    if environments and not _proxies_learn(cluster, istio):
        yield (
            f"the mesh does not set {PROXY_ROOTS}=true for its proxies, so those that run will not "
            "learn a second root; set it with `pulumi stack output istioValues`, then restart the "
            "workloads once, before the next anchor is added"
        )


def _of_istiods_own_ca(environments: list[dict[str, str]]) -> Iterator[str]:
    if any(environment.get(MULTI_ROOT) != "true" for environment in environments):
        yield (
            f"istiod runs without {MULTI_ROOT}=true and will refuse a second root; roll it out "
            "with `pulumi stack output istioValues` before the next anchor is added"
        )


def _of_registration(environments: list[dict[str, str]]) -> Iterator[str]:
    if any(environment.get(EXTERNAL_CA) != RA for environment in environments):
        yield (
            f"istiod runs without {EXTERNAL_CA}={RA}, so it signs with a CA of its own and not by "
            "cert-manager; roll it out with `pulumi stack output istioValues`"
        )
    if any(environment.get(MULTI_ROOT) == "true" for environment in environments):
        yield (
            f"istiod has {MULTI_ROOT}=true, with which it does not start where cert-manager signs "
            "for it; take it out"
        )


_REMARKS_OF_SIGNER: Mapping[str, Callable[[list[dict[str, str]]], Iterator[str]]] = {
    "istiod": _of_istiods_own_ca,
    "cert-manager": _of_registration,
}


def _proxies_learn(cluster: Cluster, istio: IstioSettings) -> bool:
    live = cluster.get(f"/api/v1/namespaces/{istio.namespace}/configmaps/istio")
    try:
        found = yaml.safe_load(((live or {}).get("data") or {}).get("mesh") or "")
    except yaml.YAMLError:
        return False
    for key in ("defaultConfig", "proxyMetadata", PROXY_ROOTS):
        if not isinstance(found, Mapping):
            return False
        found = found.get(key)
    return str(found).lower() == "true"
