"""The whole system of one stack: settings -> components -> exports."""

from __future__ import annotations

import gc
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from clusters.connection import cluster_address
from clusters.engine import failure_hook, require_clusters
from clusters.guard import TrustGuard
from components.arguments import (
    ca_issuer_args,
    cert_manager_args,
    service_certificate_args,
    trust_anchor_args,
    trust_bundle_args,
    trust_gate_args,
)
from components.ca_issuer import CaIssuer
from components.cert_manager import CertManager
from components.service_certificate import ServiceCertificate
from components.trust_anchor import TrustAnchor
from components.trust_bundle import TrustBundle
from components.trust_gate import TrustGate
from settings.engine import read_settings
from settings.model import Settings
from settings.names import issuer_name, issuing_generations, secret_name


def declare_anchors(settings: Settings) -> dict[str, TrustAnchor]:
    """Declare every generation; the one that issues cannot be deleted before it is unprotected."""
    provider = tls.Provider("tls")
    return {
        generation: TrustAnchor(
            generation,
            trust_anchor_args(settings, generation),
            ResourceOptions(provider=provider, protect=anchor.role.issues),
        )
        for generation, anchor in settings.anchors.items()
    }


def declare_prerequisites(
    settings: Settings, cluster: str, options: ResourceOptions
) -> list[pulumi.Resource]:
    """Declare what the stack was asked to install or to create in one cluster."""
    declared: list[pulumi.Resource] = []
    installed = {settings.cert_manager.namespace} if settings.cert_manager.install else set()
    if installed:
        declared.append(CertManager(f"{cluster}-pki", cert_manager_args(settings), options))
    if settings.trust.create_namespaces:
        declared += [
            Namespace(
                f"{cluster}-{namespace}", metadata=ObjectMetaArgs(name=namespace), opts=options
            )
            for namespace in settings.trust.namespaces
            if namespace not in installed
        ]
    return declared


def declare_issuers(
    settings: Settings,
    cluster: str,
    anchors: dict[str, TrustAnchor],
    hook: pulumi.ErrorHook,
    options: ResourceOptions,
) -> dict[tuple[str, str | None], CaIssuer]:
    """Declare the issuers of one cluster, by generation and (for kind Issuer) namespace."""
    issuing = settings.issuing
    namespaces = settings.trust.namespaces if issuing.kind == "Issuer" else (None,)

    def declare(generation: str, name: str, secret: str, namespace: str | None) -> CaIssuer:
        return CaIssuer(
            "-".join(part for part in (cluster, name, namespace) if part),
            ca_issuer_args(
                settings,
                anchors[generation],
                issuer_name=name,
                secret_name=secret,
                namespace=namespace,
                on_failure=hook,
            ),
            options,
        )

    if issuing.stable:
        # What teams' own Certificates refer to; it follows the issuing generation.
        for namespace in namespaces:
            declare(settings.issuing_generation, issuing.name, issuing.secret_base_name, namespace)
    return {
        (generation, namespace): declare(
            generation,
            issuer_name(settings, generation),
            secret_name(settings, generation),
            namespace,
        )
        for generation in issuing_generations(settings)
        for namespace in namespaces
    }


def declare_cluster(
    settings: Settings, cluster: str, anchors: dict[str, TrustAnchor], guard: TrustGuard
) -> None:
    """Declare everything of one cluster, below its own explicit provider."""
    reach = settings.clusters[cluster]
    provider = kubernetes.Provider(
        cluster,
        # None would become the value of KUBECONFIG, which may name several files; with the empty
        # text the provider follows the usual rules itself.
        kubeconfig=reach.kubeconfig or "",
        context=reach.context,
        # Moving a kubeconfig or renaming its context must not replace every object of the cluster.
        cluster_identifier=cluster,
        enable_secret_mutable=True,
        enable_config_map_mutable=True,
    )
    hook = failure_hook(cluster_address(settings, cluster))
    guard_hook = guard.hook(cluster)
    prerequisites = declare_prerequisites(settings, cluster, ResourceOptions(provider=provider))
    gate = TrustGate(
        f"{cluster}-gate",
        trust_gate_args(settings, anchors, guard_hook),
        ResourceOptions(provider=provider, depends_on=prerequisites),
    )
    options = ResourceOptions(provider=provider, depends_on=[gate])
    TrustBundle(
        f"{cluster}-{settings.trust.name}",
        trust_bundle_args(settings, anchors, hook, guard_hook),
        options,
    )
    issuers = declare_issuers(settings, cluster, anchors, hook, options)
    for name, service in settings.services.items():
        if cluster not in settings.clusters_of(service):
            continue
        namespace = service.namespace if settings.issuing.kind == "Issuer" else None
        issuer = issuers[settings.generation_of(service), namespace]
        ServiceCertificate(
            f"{cluster}-{name}",
            service_certificate_args(settings, reach, name, issuer, hook),
            ResourceOptions(provider=provider, depends_on=[issuer.issuer]),
        )


def main() -> None:
    """Declare the stack."""
    # What is declared lives until the end. With the usual threshold Python looks through all of it
    # for garbage again and again: at a thousand certificates a quarter of its processor time.
    gc.set_threshold(100_000)
    settings = read_settings(Path.cwd())
    require_clusters(settings)
    anchors = declare_anchors(settings)
    fingerprints = {generation: anchor.fingerprint for generation, anchor in anchors.items()}
    guard = TrustGuard(settings, fingerprints)
    for cluster in settings.clusters:
        declare_cluster(settings, cluster, anchors, guard)
    guard.announce()
    pulumi.export("trustDomain", settings.trust_domain)
    pulumi.export(
        "anchors",
        {
            generation: {
                "role": settings.anchors[generation].role.value,
                "fingerprint": anchor.fingerprint,
            }
            for generation, anchor in anchors.items()
        },
    )
    clusters_of_services = map(settings.clusters_of, settings.services.values())
    pulumi.export("certificates", sum(map(len, clusters_of_services)))


main()
