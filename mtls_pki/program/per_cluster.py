"""What every cluster of the stack gets: gate, bundle, issuers, Certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.backends.declare import Declare, IssuerPlace
from mtls_pki.clusters.connection import ClusterAddress, cluster_address
from mtls_pki.components.cert_manager import CertManager
from mtls_pki.components.core_objects import ConfigMap, Namespace
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.service_certificate import ServiceCertificate
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.components.trust_bundle import TrustBundle
from mtls_pki.components.trust_gate import TrustGate
from mtls_pki.program.arguments import (
    cert_manager_args,
    service_certificate_args,
    trust_bundle_args,
    trust_gate_args,
)
from mtls_pki.program.barrier import DeclaredCertificate
from mtls_pki.program.explanations import FailureHooks
from mtls_pki.program.hooks import ClusterGuard
from mtls_pki.program.owned import marked, names_recorded, renamed
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.deletion import issued_by, kept_by
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import issuer_name, issuing_generations, secret_name
from mtls_pki.settings.trust_domain import bundle_forms

Issuers = dict[tuple[str, str | None], Issuer]
"""By generation and, for issuers of one namespace, namespace."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A cluster's gate, and how what waits for it is declared.

    Attributes:
        address: of the cluster.
        guard: judges what is written there.
        record: the ConfigMap that a change of trust passes first.
        named: the issuer that each Certificate there names now, by namespace and name.
        behind: provider and dependencies of all that waits for the gate.
    """

    address: ClusterAddress
    guard: ClusterGuard
    record: ConfigMap
    named: Mapping[tuple[str, str], str]
    behind: pulumi.ResourceOptions


def declare_gate(
    settings: Settings,
    anchors: Mapping[str, TrustAnchor],
    evidence: Evidence,
    guard: ClusterGuard,
    former: Sequence[str] = (),
) -> Gate:
    """Declare a cluster's provider, what the stack installs there, and its gate.

    Args:
        settings: of the stack.
        anchors: by generation.
        evidence: of all clusters.
        guard: judges what is written in the cluster.
        former: the cluster's names before this one; what bears them moves and is not made again.
    """
    cluster, deletion = guard.cluster, guard.deletion
    reach = settings.clusters[cluster]
    moves = [renamed(cluster, former)] if former else []
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
        # A renamed cluster is the same one; another identifier would replace all of its objects.
        opts=pulumi.ResourceOptions(
            ignore_changes=["clusterIdentifier"],
            transformations=moves,
            hooks=pulumi.ResourceHookBinding(before_create=[guard.provider]),
        ),
    )
    everything = pulumi.ResourceOptions(
        provider=provider, transformations=[marked(settings, guard.secret_owner), *moves]
    )
    prerequisites = _prerequisites(settings, cluster, everything)
    gate = TrustGate(
        f"{cluster}-gate",
        trust_gate_args(settings, cluster, anchors, evidence, guard.gate, deletion.binding),
        pulumi.ResourceOptions.merge(
            everything,
            pulumi.ResourceOptions(
                depends_on=prerequisites, transformations=[names_recorded(cluster, former)]
            ),
        ),
    )
    deletion.keep(cluster, gate.guarded)
    return Gate(
        address=cluster_address(settings, cluster),
        guard=guard,
        record=gate.record,
        named={
            (use.namespace, use.name): use.issuer for use in evidence.uses if use.cluster == cluster
        },
        behind=pulumi.ResourceOptions.merge(everything, pulumi.ResourceOptions(depends_on=[gate])),
    )


def _prerequisites(
    settings: Settings, cluster: str, options: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    declared: list[pulumi.Resource] = []
    installed = {settings.cert_manager.namespace} if settings.cert_manager.install else set()
    if installed:
        declared.append(CertManager(f"{cluster}-pki", cert_manager_args(settings), options))
    if settings.trust.create_namespaces:
        declared += [
            Namespace(
                f"{cluster}/{namespace}",
                metadata=ObjectMetaArgs(name=namespace),
                opts=pulumi.ResourceOptions.merge(
                    options,
                    pulumi.ResourceOptions(
                        aliases=[pulumi.Alias(name=f"{cluster}-{namespace}")],
                        # Other teams' objects stand in it too.
                        retain_on_delete=True,
                    ),
                ),
            )
            for namespace in settings.trust.namespaces
            if namespace not in installed
        ]
    return declared


def declare_behind(
    settings: Settings,
    gate: Gate,
    anchors: Mapping[str, TrustAnchor],
    issuing: Mapping[str, Declare],
    on_failure: FailureHooks,
) -> list[DeclaredCertificate]:
    """Declare bundle, issuers and Certificates of one cluster, and return the Certificates."""
    _declare_bundle(settings, gate, anchors, on_failure)
    issuers = _declare_issuers(settings, gate, anchors, issuing, on_failure)
    return list(_declare_certificates(settings, gate, issuers, on_failure))


def _declare_bundle(
    settings: Settings,
    gate: Gate,
    anchors: Mapping[str, TrustAnchor],
    on_failure: FailureHooks,
) -> None:
    """Declare the trust bundle of one cluster, in each of its forms."""
    guard, deletion = gate.guard.behind, gate.guard.deletion
    forms = bundle_forms(settings)
    for name in dict.fromkeys(form.name for form in forms):
        of_name = [form for form in forms if form.name == name]
        bundle = TrustBundle(
            f"{gate.address.name}-{name}",
            trust_bundle_args(
                settings, of_name, anchors, on_failure.plain, guard, deletion.binding
            ),
            gate.behind,
        )
        deletion.keep(gate.address.name, bundle.guarded)


def _declare_issuers(
    settings: Settings,
    gate: Gate,
    anchors: Mapping[str, TrustAnchor],
    issuing: Mapping[str, Declare],
    on_failure: FailureHooks,
) -> Issuers:
    """Declare the issuers of one cluster; the stable one is none of those returned."""
    cluster, deletion = gate.address.name, gate.guard.deletion

    def declare(generation: str, name: str, secret: str, namespace: str | None) -> Issuer:
        backend = settings.backend_of(generation).name
        place = IssuerPlace(
            resource_name="-".join(part for part in (cluster, name, namespace) if part),
            cluster=cluster,
            generation=generation,
            name=name,
            secret_name=secret,
            namespace=namespace,
            on_failure=on_failure.of(backend),
            guard=gate.guard.behind,
            delete_guard=deletion.binding,
            options=gate.behind,
        )
        issuer = issuing[backend].issuer(place, anchors[generation])
        reference = f"{issuer.kind}/{name}"
        deletion.keep(
            cluster,
            issuer.guarded,
            needed_by=issued_by(cluster, reference),
            part=f"issuer/{reference}",
        )
        return issuer

    stable = settings.issuing
    if stable.stable and settings.issuing_generation in issuing_generations(settings):
        # What teams' own Certificates refer to; it follows the issuing generation.
        for namespace in settings.issuer_namespaces:
            declare(settings.issuing_generation, stable.name, stable.secret_base_name, namespace)
    return {
        (generation, namespace): declare(
            generation,
            issuer_name(settings, generation),
            secret_name(settings, generation),
            namespace,
        )
        for generation in issuing_generations(settings)
        for namespace in settings.issuer_namespaces
    }


def _declare_certificates(
    settings: Settings, gate: Gate, issuers: Issuers, on_failure: FailureHooks
) -> Iterator[DeclaredCertificate]:
    """Declare the Certificates of one cluster; of those without an issuer yet there is none."""
    cluster, deletion = gate.address.name, gate.guard.deletion
    for name, service in settings.services.items():
        if cluster not in settings.clusters_of(service):
            continue
        namespace = service.namespace if settings.issuing.kind == "Issuer" else None
        generation = settings.generation_of(service)
        issuer = issuers.get((generation, namespace))
        if issuer is None:
            continue
        hook = on_failure.of(settings.backend_of(generation).name)
        args = service_certificate_args(
            settings,
            settings.clusters[cluster],
            name,
            issuer,
            gate.named.get((service.namespace, service.name or name)),
            hook,
            gate.guard.behind,
            deletion.binding,
        )
        certificate = ServiceCertificate(
            f"{cluster}/{args.namespace}/{args.certificate_name}",
            args,
            pulumi.ResourceOptions(
                provider=gate.behind.provider,
                transformations=gate.behind.transformations,
                depends_on=[issuer.issuer],
                aliases=[
                    pulumi.Alias(name=f"{cluster}-{former}")
                    for former in _former_keys(settings, name)
                ],
            ),
        )
        deletion.keep(
            cluster,
            [certificate.guarded],
            needed_by=kept_by(cluster, args.namespace, args.certificate_name),
            part="stack",
        )
        yield DeclaredCertificate(
            key=(args.namespace, args.certificate_name),
            generation=generation,
            resource=certificate,
        )


def _former_keys(settings: Settings, name: str) -> list[str]:
    """Return the keys under which a release that named Certificates by them may know a service.

    That is its present key; or, where the key was changed and ``name`` keeps the object, the
    object's name, unless another service has that key.
    """
    certificate = settings.services[name].name
    return (
        [name] if certificate is None or certificate in settings.services else [name, certificate]
    )
