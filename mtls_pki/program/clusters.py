"""What the clusters must offer before the first change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pulumi

from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.diagnosis import object_path
from mtls_pki.clusters.preflight import Needs, missing_prerequisites
from mtls_pki.settings.extensions import CERT_MANAGER, BackendSettings
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import generations_held_by, issuer_name, issuing_generations


def _needs(settings: Settings, cluster: str) -> Needs:
    """What a cluster must offer, except what the stack itself installs or creates."""
    groups = {}
    if not settings.cert_manager.install:
        groups["cert-manager.io/v1"] = "install cert-manager, or set certManager.install: true"
        if settings.trust.via == "trust-manager":
            groups["trust.cert-manager.io/v1alpha1"] = (
                "install trust-manager, or set certManager.install: true"
            )
    for generation in issuing_generations(settings):
        backend = settings.backend_of(generation)
        if backend.issuer_api != CERT_MANAGER:
            groups[backend.issuer_api.api_version] = (
                f"install the controller of its issuers, which {backend.authority} needs in every "
                "cluster"
            )
    installed = {settings.cert_manager.namespace} if settings.cert_manager.install else set()
    declared = {*settings.trust.namespaces} if settings.trust.create_namespaces else set()
    # The gate and the CA Secrets of ClusterIssuers stand in the cluster resource namespace.
    needed = (
        *settings.trust.namespaces,
        settings.issuing.cluster_resource_namespace,
        *(
            namespace
            for row in settings.extensions.consumers
            if row.namespaces is not None
            for namespace in row.namespaces(settings, cluster)
        ),
    )
    return Needs(
        api_groups=groups,
        namespaces=tuple(
            name for name in dict.fromkeys(needed) if name not in installed | declared
        ),
        created=tuple(sorted(installed | declared)),
    )


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Which clusters are usable, and whether `pulumi up` will refuse because of the others."""

    usable: frozenset[str]
    up_refuses: bool = False


def require_clusters(settings: Settings) -> Readiness:
    """Stop ``up`` before the first change, and warn at preview, where a cluster is not usable.

    Raises:
        pulumi.RunError: at ``up``, with everything that is missing in any cluster; not where the
            stack distrusts a compromised anchor.
    """
    addresses = [cluster_address(settings, cluster) for cluster in settings.clusters]
    missing = missing_prerequisites(addresses, partial(_needs, settings))
    problems = [problem for found in missing.values() for problem in found]
    emergency = _is_emergency(settings)
    if problems and not pulumi.runtime.is_dry_run() and not emergency:
        head = "the clusters are not ready for this stack; nothing was touched:"
        raise pulumi.RunError("\n".join([head, *problems]))
    outlook = "what it needs there will fail" if emergency else "`pulumi up` will refuse"
    for problem in problems:
        pulumi.log.warn(f"{problem} ({outlook})")
    return Readiness(
        usable=frozenset(settings.clusters) - missing.keys(),
        up_refuses=bool(problems) and not emergency,
    )


def _is_emergency(settings: Settings) -> bool:
    """Whether a stolen key is distrusted: an unreachable cluster must not stop that elsewhere."""
    return any(not anchor.role.trusted for anchor in settings.anchors.values())


def require_no_loss(settings: Settings) -> None:
    """Stop where Certificates would leave the program because their issuing CA is not signed.

    Without its issuing CA an anchor has no issuers, and so no Certificates: right for a stack that
    begins, and never meant for one that runs.

    Raises:
        pulumi.RunError: there are such Certificates, or at ``up`` it was not seen whether.
    """
    if not settings.anchors[settings.issuing_generation].awaits_signature:
        return
    for name, service in settings.services.items():
        for cluster in settings.clusters_of(service):
            path = object_path(
                "cert-manager.io/v1", "Certificate", service.namespace, service.name or name
            )
            if _exists(settings, cluster, path):
                raise pulumi.RunError(
                    f"anchors.{settings.issuing_generation}.issuingCa.certificate is missing, but "
                    f"cluster {cluster} has the Certificate {service.namespace}/"
                    f"{service.name or name} already; without it every Certificate of the stack "
                    "would be deleted. Put the certificate back; nothing was touched"
                )


def generations_in_use(settings: Settings, backend: BackendSettings) -> frozenset[str]:
    """Return the generations that an authority keeps and from which a cluster issues already.

    Raises:
        pulumi.RunError: at ``up`` it was not seen whether a cluster does.
    """
    kept = [
        generation
        for generation in generations_held_by(settings, backend.name)
        if backend.holds_key(settings, generation)
    ]
    api, kind = backend.issuer_api, backend.issuer_api.kind(settings.issuing.kind)
    return frozenset(
        generation
        for generation in kept
        for cluster in settings.clusters
        for namespace in settings.issuer_namespaces
        if _exists(settings, cluster, api.path(kind, namespace, issuer_name(settings, generation)))
    )


def _exists(settings: Settings, cluster: str, path: str | None) -> bool:
    """Whether an object is there; at a preview, one that was not seen is not.

    Raises:
        pulumi.RunError: at ``up``, it was not seen.
    """
    try:
        address = cluster_address(settings, cluster)
        return path is not None and Cluster(address).get(path) is not None
    except ClusterError as error:
        # The preflight and the guard have their messages about a cluster that cannot be read.
        if pulumi.runtime.is_dry_run() or _is_emergency(settings):
            return False
        raise pulumi.RunError(f"{error}; nothing was touched") from None
