"""From settings to the arguments of components; pure, one function a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from mtls_pki.backends.declare import request_profile
from mtls_pki.components.cert_manager import CertManagerArgs, ChartSource
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.service_certificate import ServiceCertificateArgs
from mtls_pki.components.trust_anchor import (
    BroughtAnchor,
    CaProfile,
    GeneratedAnchor,
    TrustAnchor,
    TrustAnchorArgs,
)
from mtls_pki.components.trust_bundle import TrustBundleArgs
from mtls_pki.components.trust_gate import TrustGateArgs
from mtls_pki.pki.keys import private_key_pem
from mtls_pki.program.record import gate_data, gate_name
from mtls_pki.rotation.domain import BundleForm
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.settings.model import (
    AnchorSettings,
    ChartSettings,
    ClusterSettings,
    IntermediateSettings,
    ServiceSettings,
    Settings,
)
from mtls_pki.settings.names import (
    issuing_ca_common_name,
    issuing_ca_not_before,
    leaf_secret_name,
    service_dns_names,
    spiffe_id,
)
from mtls_pki.settings.trust_domain import partner_roots


def trust_anchor_args(
    settings: Settings, generation: str, key_guard: pulumi.ResourceHook | None = None
) -> TrustAnchorArgs:
    """Return the arguments of the anchor ``generation``."""
    anchor = settings.anchors[generation]
    if anchor.certificate is not None:
        return TrustAnchorArgs(
            source=_brought(settings, generation, anchor, anchor.certificate.pem)
        )
    return TrustAnchorArgs(source=_generated(settings, generation, anchor), key_guard=key_guard)


def _brought(
    settings: Settings, generation: str, anchor: AnchorSettings, certificate_pem: str
) -> BroughtAnchor:
    issuing_ca = anchor.issuing_ca
    if issuing_ca is None:
        return BroughtAnchor(certificate_pem=certificate_pem)
    answer = issuing_ca.certificate.pem if issuing_ca.certificate else None
    if issuing_ca.private_key is not None:
        return BroughtAnchor(
            certificate_pem=certificate_pem,
            issuing_ca_certificate_pem=answer,
            issuing_ca_key_pem=pulumi.Output.secret(
                private_key_pem(
                    issuing_ca.private_key.get_secret_value(), origin="the issuing CA's key"
                )
            ),
        )
    return BroughtAnchor(
        certificate_pem=certificate_pem,
        issuing_ca_certificate_pem=answer,
        issuing_ca_generation=issuing_ca.generation,
        # Where the authority keeps the key, it also makes the request.
        request=None
        if settings.backend_of(generation).holds_key(settings, generation)
        else request_profile(settings, generation),
    )


def _generated(settings: Settings, generation: str, anchor: AnchorSettings) -> GeneratedAnchor:
    if anchor.common_name is None or anchor.valid_from is None or anchor.not_after is None:
        raise ValueError(f"anchor {generation} has neither a certificate nor subject and dates")
    intermediate = settings.issuing.issuing_ca
    root = CaProfile(
        common_name=anchor.common_name,
        not_before=anchor.valid_from,
        not_after=anchor.not_after,
        path_length=anchor.path_length,
        key_algorithm=anchor.key_algorithm,
    )
    if intermediate is None:
        return GeneratedAnchor(root=root, issuing_ca=None)
    return GeneratedAnchor(
        root=root,
        issuing_ca=_issuing_ca(settings, generation, anchor, intermediate),
        issuing_ca_generation=intermediate.generation,
        issuing_key_elsewhere=settings.backend_of(generation).holds_key(settings, generation),
    )


def _issuing_ca(
    settings: Settings, generation: str, anchor: AnchorSettings, intermediate: IntermediateSettings
) -> CaProfile:
    not_before = issuing_ca_not_before(anchor, intermediate)
    return CaProfile(
        common_name=issuing_ca_common_name(settings, generation, intermediate),
        not_before=not_before,
        not_after=not_before + intermediate.valid_for,
        path_length=intermediate.path_length,
        key_algorithm=intermediate.key_algorithm,
        permitted_dns_domains=intermediate.permitted_dns_domains,
    )


def trusted_roots(
    settings: Settings, anchors: Mapping[str, TrustAnchor]
) -> list[pulumi.Input[str]]:
    """Return the PEM of every root that verifiers of the domain trust."""
    own: list[pulumi.Input[str]] = [
        anchors[generation].certificate_pem
        for generation, anchor in settings.anchors.items()
        if anchor.role.trusted
    ]
    return own + list(partner_roots(settings).values())


def trust_bundle_args(
    settings: Settings,
    forms: Sequence[BundleForm],
    anchors: Mapping[str, TrustAnchor],
    on_failure: pulumi.ErrorHook,
    guard: pulumi.ResourceHook,
    delete_guard: pulumi.ResourceHook | None,
) -> TrustBundleArgs:
    """Return the arguments of one cluster's bundle, for forms of one name: every trusted root."""
    return TrustBundleArgs(
        bundle_name=forms[0].name,
        keys=tuple(form.key for form in forms),
        namespaces=settings.trust.namespaces,
        roots=trusted_roots(settings, anchors),
        via="trust-manager" if forms[0].via == "trust-manager" else "configmap",
        ready_timeout=settings.issuing.ready_timeout,
        on_failure=on_failure,
        guard=guard,
        delete_guard=delete_guard,
    )


def trust_gate_args(
    settings: Settings,
    cluster: str,
    anchors: Mapping[str, TrustAnchor],
    evidence: Evidence,
    guard: pulumi.ResourceHook,
    delete_guard: pulumi.ResourceHook | None,
) -> TrustGateArgs:
    """Return the arguments of one cluster's gate: what is recorded, and every root of it."""
    return TrustGateArgs(
        object_name=gate_name(settings, cluster, evidence),
        namespace=settings.issuing.cluster_resource_namespace,
        data=gate_data(settings, cluster, evidence, anchors),
        guard=guard,
        delete_guard=delete_guard,
    )


def service_certificate_args(
    settings: Settings,
    cluster: ClusterSettings,
    name: str,
    issuer: Issuer,
    named: str | None,
    on_failure: pulumi.ErrorHook,
    guard: pulumi.ResourceHook,
    delete_guard: pulumi.ResourceHook | None,
) -> ServiceCertificateArgs:
    """Return the arguments of one service's Certificate in one cluster.

    ``named`` is the issuer that the Certificate names there now, None where it is not known.
    """
    service: ServiceSettings = settings.services[name]
    leaf = settings.issuing.leaf
    certificate_name = service.name or name
    return ServiceCertificateArgs(
        certificate_name=certificate_name,
        namespace=service.namespace,
        secret_name=leaf_secret_name(name, service),
        issuer_name=issuer.issuer_name,
        issuer_kind=issuer.kind,
        issuer_group=issuer.group,
        dns_names=service_dns_names(name, service, cluster.cluster_domain),
        uris=(spiffe_id(name, service, settings.trust_domain),),
        ip_addresses=service.ip_addresses,
        email_addresses=service.email_addresses,
        common_name=service.common_name,
        organizations=service.organizations,
        usages=service.usages,
        key_algorithm=service.key_algorithm,
        rotation_policy=service.rotation_policy,
        duration=service.duration or leaf.duration,
        renew_before=service.renew_before or leaf.renew_before,
        ready_timeout=settings.issuing.ready_timeout,
        moves=named not in (None, f"{issuer.kind}/{issuer.issuer_name}"),
        on_failure=on_failure,
        guard=guard,
        delete_guard=delete_guard,
    )


def cert_manager_args(settings: Settings) -> CertManagerArgs:
    """Return the arguments of the controllers' installation."""
    install = settings.cert_manager
    with_trust_manager = settings.trust.via == "trust-manager"
    return CertManagerArgs(
        namespace=install.namespace,
        cert_manager=_chart(install.cert_manager),
        trust_manager=_chart(install.trust_manager) if with_trust_manager else None,
    )


def _chart(chart: ChartSettings) -> ChartSource:
    return ChartSource(chart=chart.chart, version=chart.version, values=chart.values)
