"""Names that follow from the settings: of issuers, Secrets, subjects and identities."""

from __future__ import annotations

import hashlib
from datetime import datetime

from mtls_pki.pki.names import common_name_mistake
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.model import (
    AnchorSettings,
    ClientAccessSettings,
    IntermediateSettings,
    ServiceSettings,
    Settings,
)

_STAGE_SUFFIX = "-stage"
# Hexadecimal digits of a SHA-256: no two trust domains that meet have the same.
_DIGEST_LENGTH = 16

CLUSTERS_OUTPUT = "clusters"
"""Output of the stack: the UID of each cluster, by its name, as the last update recorded it."""


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


def certifying_generations(settings: Settings) -> tuple[str, ...]:
    """Return those of them whose anchor's key is here, so that it can certify further CAs."""
    return tuple(
        name for name in issuing_generations(settings) if not settings.anchors[name].brought
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
        settings.backend_of(generation).suffix,
    )
    return "-".join(part for part in parts if part)


def issuer_name(settings: Settings, generation: str) -> str:
    """Return the issuer of one generation: ``<name>-g2-i1``; a new name makes leaves reissue.

    It ends in the suffix of its backend, so that a move to another one is a new issuer, and
    reissues.
    """
    return _with_generations(settings.issuing.name, settings, generation)


def declared_issuers(settings: Settings) -> dict[str, str]:
    """Return the issuers that the stack declares, as ``Kind/name``, with their generations."""
    issuing = settings.issuing
    found = {}
    for generation in issuing_generations(settings):
        kind = settings.backend_of(generation).issuer_api.kind(issuing.kind)
        found[f"{kind}/{issuer_name(settings, generation)}"] = generation
        if issuing.stable and generation == settings.issuing_generation:
            found[f"{kind}/{issuing.name}"] = generation
    return found


def secret_name(settings: Settings, generation: str) -> str:
    """Return the CA Secret of one generation."""
    return _with_generations(settings.issuing.secret_base_name, settings, generation)


def ca_secrets(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return namespace and name of every CA Secret that the stack declares."""
    names = {
        secret_name(settings, generation)
        for generation in issuing_generations(settings)
        if settings.backend_of(generation).has_ca_secret
    }
    if settings.issuing.stable and settings.backend_of(settings.issuing_generation).has_ca_secret:
        names.add(settings.issuing.secret_base_name)
    return frozenset(
        (namespace or settings.issuing.cluster_resource_namespace, name)
        for namespace in settings.issuer_namespaces
        for name in names
    )


def stack_secrets(settings: Settings, cluster: str) -> frozenset[tuple[str, str]]:
    """Return namespace and name of every Secret that the stack itself writes in a cluster."""
    return ca_secrets(settings).union(
        *(
            row.secrets(settings, cluster)
            for row in settings.extensions.consumers
            if row.secrets is not None
        )
    )


def generations_held_by(settings: Settings, backend: str) -> tuple[str, ...]:
    """Return the generations whose issuing CA the backend of this name holds, in any role."""
    return tuple(
        name
        for name, anchor in settings.anchors.items()
        if settings.backend_of(name).name == backend
        and (not anchor.brought or anchor.issuing_ca is not None)
    )


def paths_that_ask_for(settings: Settings, backend: str) -> list[str]:
    """Return the paths of the stack file that name the backend of this name."""
    paths = ["issuing.backend"] if settings.issuing.backend == backend else []
    return paths + [
        f"anchors.{name}.backend"
        for name, anchor in settings.anchors.items()
        if anchor.backend == backend
    ]


def stage_object_name(settings: Settings) -> str:
    """Return the name that the gate's ConfigMap gets, in the issuers' cluster resource namespace.

    It keeps the name that it was made with, whatever the bundle is called later.
    """
    return f"{settings.trust.name}{_STAGE_SUFFIX}"


def former_trust_name(stage_object: str) -> str | None:
    """Return the bundle's name at the time when the gate's ConfigMap ``stage_object`` was made."""
    name = stage_object.removesuffix(_STAGE_SUFFIX)
    return name if name and name != stage_object else None


def issuing_ca_common_name(
    settings: Settings, generation: str, intermediate: IntermediateSettings
) -> str:
    """Return the subject of an issuing CA, unique for each generation of anchor and issuing CA."""
    suffix = settings.backend_of(generation).suffix
    issuing_ca = issuing_ca_generation(settings, generation) or intermediate.generation
    name = "-".join(part for part in ("issuing", generation, issuing_ca, suffix) if part)
    return derived_common_name(settings, name)


def permitted_dns_domains_of(settings: Settings, generation: str) -> tuple[str, ...]:
    """Return the DNS domains that the request of a generation's issuing CA asks for; empty: all."""
    own = settings.anchors[generation].issuing_ca
    if own is not None and own.permitted_dns_domains is not None:
        return own.permitted_dns_domains
    intermediate = settings.issuing.issuing_ca
    return intermediate.permitted_dns_domains if intermediate else ()


def derived_common_name(settings: Settings, name: str) -> str:
    """Return ``name.TRUST-DOMAIN``; where that is too long for a subject, a digest of the domain.

    The trust domain may have 255 characters, a common name 64 (RFC 5280, appendix A.1).
    """
    whole = f"{name}.{settings.trust_domain}"
    short = f"{name}.{_digest(settings.trust_domain)}"
    fits = common_name_mistake(whole) is None or common_name_mistake(short) is not None
    return whole if fits else short


def _digest(trust_domain: str) -> str:
    return hashlib.sha256(trust_domain.encode()).hexdigest()[:_DIGEST_LENGTH]


def is_issuing_ca_of(settings: Settings, generation: str, subject: str) -> bool:
    """Whether a subject (RFC 4514) is that of an issuing CA that this stack makes below an anchor.

    Of any generation of the issuing CA, and of any backend.
    """
    name = subject.removeprefix("CN=")
    domains = (settings.trust_domain, _digest(settings.trust_domain))
    return name.startswith(f"issuing-{generation}-") and name.endswith(
        tuple(f".{domain}" for domain in domains)
    )


def issuing_ca_not_before(anchor: AnchorSettings, intermediate: IntermediateSettings) -> datetime:
    """Return when an issuing CA starts: as configured, but never before its root does."""
    return certified_from(anchor, intermediate.valid_from)


def certified_from(anchor: AnchorSettings, valid_from: datetime | None) -> datetime:
    """Return when what a generated anchor certifies starts: as configured, never before the anchor.

    Args:
        anchor: that certifies it.
        valid_from: as configured; None: with the anchor.
    """
    if anchor.valid_from is None:
        raise ValueError("a brought anchor has no dates in the configuration")
    return max(anchor.valid_from, valid_from or anchor.valid_from)


def access_user(name: str, access: ClientAccessSettings) -> str:
    """Return the user that an API server knows a machine as."""
    return access.user or name


def access_group(name: str, access: ClientAccessSettings) -> str:
    """Return the group to which the rights of a machine are bound: by default its own."""
    return access.group or f"mtls-pki:access:{name}"


def access_object(name: str) -> str:
    """Return how the objects of a machine's access are called in a cluster."""
    return f"mtls-pki-access-{name}"


def service_dns_names(name: str, service: ServiceSettings, cluster_domain: str) -> tuple[str, ...]:
    """Return the DNS names of a service: those it lists, else its namespaced names.

    The bare service name is left out, because it is the same in every namespace. Verifiers that map
    a name to a user would confuse services of different teams.
    """
    if service.dns_names is not None:
        return service.dns_names
    base = f"{service.name or name}.{service.namespace}"
    return (f"{base}.svc.{cluster_domain}", f"{base}.svc", base)


def leaf_secret_name(name: str, service: ServiceSettings) -> str:
    """Return the name of the Secret with the leaf of the service ``name``."""
    return service.secret_name or f"{service.name or name}-tls"


def spiffe_id(name: str, service: ServiceSettings, trust_domain: str) -> str:
    """Return the SPIFFE ID of a service's ServiceAccount (SPIFFE-ID 2, Istio's path layout)."""
    account = service.service_account or service.name or name
    return f"spiffe://{trust_domain}/ns/{service.namespace}/sa/{account}"
