"""The whole system of one stack: settings -> components -> exports."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls
import pulumi_vault as vault
from pulumi import ResourceOptions
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.backends.vault.arguments import (
    login_args,
    vault_auth_args,
    vault_issuer_args,
    vault_pki_args,
)
from mtls_pki.backends.vault.declare import (
    comparison_hook,
    find_issuer,
    require_vault,
    vault_failure_hook,
    version_override,
)
from mtls_pki.backends.vault.diagnosis import explain
from mtls_pki.backends.vault.preflight import VaultReading, description
from mtls_pki.clusters.connection import Cluster, cluster_address
from mtls_pki.components.ca_issuer import CaIssuer
from mtls_pki.components.cert_manager import CertManager
from mtls_pki.components.service_certificate import ServiceCertificate
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.components.trust_bundle import TrustBundle
from mtls_pki.components.trust_gate import TrustGate
from mtls_pki.components.vault_auth import VaultAuth
from mtls_pki.components.vault_issuer import VaultIssuer
from mtls_pki.components.vault_pki import VaultPki
from mtls_pki.program.arguments import (
    ca_issuer_args,
    cert_manager_args,
    service_certificate_args,
    trust_anchor_args,
    trust_bundle_args,
    trust_gate_args,
)
from mtls_pki.program.clusters import (
    failure_hook,
    generations_in_use,
    require_clusters,
    require_no_loss,
)
from mtls_pki.program.guard import TrustGuard
from mtls_pki.program.stack_settings import read_settings
from mtls_pki.settings.model import Backend, Settings
from mtls_pki.settings.names import (
    issuer_name,
    issuing_generations,
    secret_name,
    vault_auth_path,
    vault_settings,
)

Issuers = dict[tuple[str, str | None], CaIssuer | VaultIssuer]


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


def declare_vault(
    settings: Settings,
    anchors: dict[str, TrustAnchor],
    reading: VaultReading,
    gates: Mapping[str, TrustGate],
) -> tuple[VaultPki, dict[str, VaultAuth]]:
    """Declare what the Vault holds of this stack: one mount, and an auth method per cluster.

    A change of trust that a guard refuses stops before anything of it reaches the Vault. The gate
    of a cluster that cannot be reached is none of ``gates``: where that does not stop the run, it
    must not keep the other clusters from what the Vault has for them.
    """
    section = vault_settings(settings)
    provider = vault.Provider(
        "vault",
        address=section.reached_at,
        ca_cert_file=section.ca_bundle.path if section.ca_bundle else None,
        namespace=section.namespace,
        # The token is what the user logged in with; a child of it would need rights to make one.
        skip_child_token=True,
        skip_tls_verify=False,
        vault_version_override=version_override(reading),
    )
    options = ResourceOptions(
        provider=provider, depends_on=[gate.record for gate in gates.values()]
    )
    hook = vault_failure_hook()
    pki = VaultPki(
        section.mount.replace("/", "-"),
        vault_pki_args(
            settings,
            anchors,
            description=description(settings),
            mount_exists=reading.mount_exists,
            find_issuer=find_issuer(settings, Path.cwd()),
            on_failure=hook,
            compare=comparison_hook(settings, Path.cwd()),
        ),
        options,
    )
    logins = {}
    for cluster in settings.clusters:
        connection = Cluster(cluster_address(settings, cluster))
        path = vault_auth_path(settings, cluster)
        logins[cluster] = VaultAuth(
            path,
            vault_auth_args(
                settings,
                cluster,
                description=description(settings),
                exists=path in reading.auth_paths,
                api_server=connection.server,
                api_server_ca_pem=connection.server_ca_pem,
                on_failure=hook,
            ),
            options,
        )
    return pki, logins


def declare_issuers(
    settings: Settings,
    cluster: str,
    anchors: dict[str, TrustAnchor],
    held: tuple[VaultPki, dict[str, VaultAuth]] | None,
    hooks: Mapping[Backend, pulumi.ErrorHook],
    options: ResourceOptions,
) -> Issuers:
    """Declare the issuers of one cluster, by generation and (for kind Issuer) namespace."""
    issuing = settings.issuing

    def declare(
        generation: str, name: str, secret: str, namespace: str | None
    ) -> CaIssuer | VaultIssuer:
        full_name = "-".join(part for part in (cluster, name, namespace) if part)
        hook = hooks[settings.backend_of(generation)]
        if held is None or settings.backend_of(generation) == "ca":
            return CaIssuer(
                full_name,
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
        pki, logins = held
        signer = pki.signers[generation]
        args = vault_issuer_args(
            settings,
            cluster,
            signer,
            issuer_name=name,
            namespace=namespace,
            on_failure=hook,
        )
        login = logins[cluster].login(full_name, login_args(args), signer)
        return VaultIssuer(full_name, args, [login], options)

    if issuing.stable and settings.issuing_generation in issuing_generations(settings):
        # What teams' own Certificates refer to; it follows the issuing generation.
        for namespace in settings.issuer_namespaces:
            declare(settings.issuing_generation, issuing.name, issuing.secret_base_name, namespace)
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


def declare_gate(
    settings: Settings,
    cluster: str,
    anchors: dict[str, TrustAnchor],
    guard_hook: pulumi.ResourceHook,
) -> tuple[TrustGate, ResourceOptions]:
    """Declare a cluster's provider and gate; return the options of all that waits for the gate."""
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
    prerequisites = declare_prerequisites(settings, cluster, ResourceOptions(provider=provider))
    gate = TrustGate(
        f"{cluster}-gate",
        trust_gate_args(settings, anchors, guard_hook),
        ResourceOptions(provider=provider, depends_on=prerequisites),
    )
    return gate, ResourceOptions(provider=provider, depends_on=[gate])


def declare_cluster(
    settings: Settings,
    cluster: str,
    anchors: dict[str, TrustAnchor],
    guard_hook: pulumi.ResourceHook,
    held: tuple[VaultPki, dict[str, VaultAuth]] | None,
    options: ResourceOptions,
) -> None:
    """Declare bundle, issuers and Certificates of one cluster, behind its gate."""
    address = cluster_address(settings, cluster)
    hooks: dict[Backend, pulumi.ErrorHook] = {
        "ca": failure_hook(address),
        "vault": failure_hook(address, signer="vault", meaning=explain),
    }
    TrustBundle(
        f"{cluster}-{settings.trust.name}",
        trust_bundle_args(settings, anchors, hooks["ca"], guard_hook),
        options,
    )
    issuers = declare_issuers(settings, cluster, anchors, held, hooks, options)
    for name, service in settings.services.items():
        if cluster not in settings.clusters_of(service):
            continue
        namespace = service.namespace if settings.issuing.kind == "Issuer" else None
        generation = settings.generation_of(service)
        hook = hooks[settings.backend_of(generation)]
        issuer = issuers.get((generation, namespace))
        if issuer is None:
            continue
        ServiceCertificate(
            f"{cluster}-{name}",
            service_certificate_args(settings, settings.clusters[cluster], name, issuer, hook),
            ResourceOptions(provider=options.provider, depends_on=[issuer.issuer]),
        )


def export_requests(
    settings: Settings, anchors: dict[str, TrustAnchor], held: VaultPki | None
) -> None:
    """Export the signing requests of issuing CAs that are signed offline, and say which wait."""
    requests = {
        generation: held.requests[generation]
        if held is not None and generation in held.requests
        else anchors[generation].request_pem
        for generation, anchor in settings.anchors.items()
        if anchor.issuing_ca is not None and anchor.issuing_ca.private_key is None
    }
    for generation in requests:
        if settings.anchors[generation].awaits_signature:
            pulumi.log.warn(
                f"anchor {generation} does not issue yet: have its issuing CA signed (`pulumi "
                "stack output certificateSigningRequests` has the request, docs/ceremony.md the "
                "steps) "
                f"and put the certificate into anchors.{generation}.issuingCa.certificate"
            )
    pulumi.export("certificateSigningRequests", requests)


def main() -> None:
    """Declare the stack."""
    # What is declared lives until the end. With the usual threshold Python looks through all of it
    # for garbage again and again: at a thousand certificates a quarter of its processor time.
    gc.set_threshold(100_000)
    settings = read_settings(Path.cwd())
    usable = require_clusters(settings)
    require_no_loss(settings)
    reading = (
        require_vault(settings, Path.cwd(), generations_in_use(settings))
        if settings.issuing.vault is not None
        else None
    )
    anchors = declare_anchors(settings)
    fingerprints = {generation: anchor.fingerprint for generation, anchor in anchors.items()}
    guard = TrustGuard(settings, fingerprints)
    hooks = {cluster: guard.hook(cluster) for cluster in settings.clusters}
    gates = {
        cluster: declare_gate(settings, cluster, anchors, hook) for cluster, hook in hooks.items()
    }
    held = (
        declare_vault(
            settings,
            anchors,
            reading,
            {cluster: gate for cluster, (gate, _) in gates.items() if cluster in usable},
        )
        if reading is not None
        else None
    )
    for cluster, (_, options) in gates.items():
        declare_cluster(settings, cluster, anchors, hooks[cluster], held, options)
    guard.announce()
    export_requests(settings, anchors, held[0] if held else None)
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
