"""Names that follow from the settings: of issuers, Secrets, subjects and identities."""

from __future__ import annotations

from datetime import datetime

from mtls_pki.rotation.roles import Role
from mtls_pki.settings.model import (
    AnchorSettings,
    IntermediateSettings,
    ServiceSettings,
    Settings,
    VaultSettings,
)

STAGE_KEY = "stage.json"
"""Key of the stage record in the gate's ConfigMap; beside it stands ``<generation>.pem``."""

# Hexadecimal digits of a SHA-256: enough to tell the few certificates of one issuing CA apart.
_IDENTIFYING = 8


def issuing_generations(settings: Settings) -> tuple[str, ...]:
    """Return the generations that have issuers: those that issue, did, or serve a canary."""
    canaries = {service.anchor for service in settings.services.values()}
    return tuple(
        name
        for name, anchor in settings.anchors.items()
        if anchor.can_issue
        and anchor.role.trusted
        and (name in canaries or anchor.role is not Role.INCOMING)
    )


def issuing_ca_generation(settings: Settings, generation: str) -> str | None:
    """Return the generation of the issuing CA below an anchor; None where the root signs leaves."""
    anchor = settings.anchors[generation]
    if anchor.issuing_ca is not None:
        return anchor.issuing_ca.generation
    intermediate = settings.issuing.issuing_ca
    return intermediate.generation if intermediate and not anchor.brought else None


def _with_generations(base: str, settings: Settings, generation: str) -> str:
    parts = (
        base,
        generation,
        issuing_ca_generation(settings, generation),
        "vault" if settings.backend_of(generation) == "vault" else None,
    )
    return "-".join(part for part in parts if part)


def issuer_name(settings: Settings, generation: str) -> str:
    """Return the issuer of one generation: ``<name>-g2-i1``; a new name makes leaves reissue.

    With a Vault it ends in ``-vault``, so that moving there or back is a new issuer, and reissues.
    """
    return _with_generations(settings.issuing.name, settings, generation)


def secret_name(settings: Settings, generation: str) -> str:
    """Return the CA Secret of one generation."""
    return _with_generations(settings.issuing.secret_base_name, settings, generation)


def sign_role_name(settings: Settings, generation: str) -> str:
    """Return the role of the PKI mount that signs leaves for one generation, and its policy.

    A server may hold the mounts of several stacks, and knows policies by name only.
    """
    mount = vault_settings(settings).mount.replace("/", "-")
    return f"{mount}-{held_issuer_name(settings, generation)}"


def held_issuer_name(settings: Settings, generation: str) -> str:
    """Return how the names of an issuing CA's certificates in the PKI mount begin: ``g1-i1``."""
    return f"{generation}-{issuing_ca_generation(settings, generation)}"


def name_in_mount(issuer_name: str, fingerprint: str) -> str:
    """Return the name of one certificate in the PKI mount: ``g1-i1-5f3a09c2``.

    To the server a renewed certificate is another issuer, and no two may have one name.
    """
    return f"{issuer_name}-{fingerprint[:_IDENTIFYING]}"


def issuer_name_of(name: str) -> str:
    """Return the ``g1-i1`` of a name in the PKI mount; empty for one that is not this program's."""
    return name.rpartition("-")[0]


def vault_auth_path(settings: Settings, cluster: str) -> str:
    """Return where the Vault's Kubernetes auth method for one cluster stands."""
    return f"{vault_settings(settings).auth_path}-{cluster}"


def login_role_name(issuer_name: str, namespace: str | None) -> str:
    """Return the role of a Vault's auth method for one issuer; None: it is a ClusterIssuer."""
    return "-".join(part for part in (issuer_name, namespace) if part)


def login_role_names(settings: Settings) -> tuple[str, ...]:
    """Return the roles of each cluster's auth method, for all issuers of what a Vault holds."""
    issuing = settings.issuing
    held = [each for each in issuing_generations(settings) if settings.backend_of(each) == "vault"]
    names = [issuer_name(settings, generation) for generation in held]
    if issuing.stable and settings.issuing_generation in held:
        names.append(issuing.name)
    return tuple(
        login_role_name(name, namespace)
        for name in names
        for namespace in settings.issuer_namespaces
    )


def vault_settings(settings: Settings) -> VaultSettings:
    """Return the section of the Vault.

    Raises:
        ValueError: there is none; the rules make sure that there is where it is asked for.
    """
    if settings.issuing.vault is None:
        raise ValueError("issuing.vault is not set")
    return settings.issuing.vault


def vault_generations(settings: Settings) -> tuple[str, ...]:
    """Return the generations whose issuing CA the Vault holds, whatever their role."""
    return tuple(
        name
        for name, anchor in settings.anchors.items()
        if settings.backend_of(name) == "vault"
        and (not anchor.brought or anchor.issuing_ca is not None)
    )


def stage_object_name(settings: Settings) -> str:
    """Return the name of the gate's ConfigMap, in the issuers' cluster resource namespace."""
    return f"{settings.trust.name}-stage"


def issuing_ca_common_name(
    settings: Settings, generation: str, intermediate: IntermediateSettings
) -> str:
    """Return the subject of an issuing CA, unique for each generation of anchor and issuing CA."""
    held = "-vault" if settings.backend_of(generation) == "vault" else ""
    issuing_ca = issuing_ca_generation(settings, generation) or intermediate.generation
    return f"issuing-{generation}-{issuing_ca}{held}.{settings.trust_domain}"


def issuing_ca_not_before(anchor: AnchorSettings, intermediate: IntermediateSettings) -> datetime:
    """Return when an issuing CA starts: as configured, but never before its root does."""
    if anchor.valid_from is None:
        raise ValueError("a brought anchor has no dates in the configuration")
    return max(anchor.valid_from, intermediate.valid_from or anchor.valid_from)


def service_dns_names(name: str, service: ServiceSettings, cluster_domain: str) -> tuple[str, ...]:
    """Return the DNS names of a service: those it lists, else its namespaced names.

    The bare service name is left out: it is the same in every namespace, and verifiers that map a
    name to a user would take one team's service for another's.
    """
    if service.dns_names is not None:
        return service.dns_names
    base = f"{service.name or name}.{service.namespace}"
    return (f"{base}.svc.{cluster_domain}", f"{base}.svc", base)


def spiffe_id(name: str, service: ServiceSettings, trust_domain: str) -> str:
    """Return the SPIFFE ID of a service's ServiceAccount (SPIFFE-ID 2, Istio's path layout)."""
    account = service.service_account or service.name or name
    return f"spiffe://{trust_domain}/ns/{service.namespace}/sa/{account}"
