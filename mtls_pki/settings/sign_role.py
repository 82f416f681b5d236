"""What a Vault's sign role must allow, and no more, for the services of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mtls_pki.settings.model import ServiceSettings, Settings
from mtls_pki.settings.names import service_dns_names, vault_settings
from mtls_pki.settings.types import KeyAlgorithm

# `key_type` and `key_bits` of Vault's PKI roles and keys.
VAULT_KEYS: dict[KeyAlgorithm, tuple[str, int]] = {
    "P-256": ("ec", 256),
    "P-384": ("ec", 384),
    "RSA-2048": ("rsa", 2048),
    "RSA-3072": ("rsa", 3072),
    "RSA-4096": ("rsa", 4096),
    "Ed25519": ("ed25519", 0),
}
_EXTENDED_USAGES = {"server auth": "ServerAuth", "client auth": "ClientAuth"}


@dataclass(frozen=True, kw_only=True)
class SignRole:
    """The restrictions of one sign role (Vault PKI API, "Create or update role").

    Attributes:
        allowed_domains: names below these, and these themselves, may stand in a leaf.
        wildcards: whether a leaf may have a wildcard name.
        ip_addresses: whether a leaf may have IP addresses; a role cannot say which.
        uris: patterns of the URI names that a leaf may have.
        key_type: of the leaves' keys, ``any`` where the services differ.
        key_bits: of the leaves' keys, 0 where the services differ.
        extended_usages: every leaf gets exactly these; a request cannot choose.
        key_encipherment: whether leaves get that key usage, for RSA key transport; never where
            some have another kind of key, which must not have it (RFC 8813 3).
        max_ttl: the longest leaf.
    """

    allowed_domains: tuple[str, ...]
    wildcards: bool
    ip_addresses: bool
    uris: tuple[str, ...]
    key_type: str
    key_bits: int
    extended_usages: tuple[str, ...]
    key_encipherment: bool
    max_ttl: timedelta


def sign_role(settings: Settings) -> SignRole:
    """Return the restrictions that fit the services, the bundle's namespaces and ``issuing.vault``.

    One role serves all services of a generation, since it is part of the issuer's path.
    """
    services = settings.services
    algorithms = {service.key_algorithm for service in services.values()} or {"P-256"}
    kind, bits = VAULT_KEYS[next(iter(algorithms))] if len(algorithms) == 1 else ("any", 0)
    names = {name for each in services for name in dns_names(settings, each)}
    return SignRole(
        allowed_domains=_allowed_domains(settings, names),
        wildcards=any(name.startswith("*.") for name in names),
        ip_addresses=any(service.ip_addresses for service in services.values()),
        uris=_uris(settings),
        key_type=kind,
        key_bits=bits,
        extended_usages=tuple(_EXTENDED_USAGES[usage] for usage in usages_of(settings)),
        key_encipherment=all(algorithm.startswith("RSA") for algorithm in algorithms),
        max_ttl=max_ttl(settings),
    )


def usages_of(settings: Settings) -> tuple[str, ...]:
    """Return the usages of all services, which must have the same; both where there is none."""
    first = next(iter(settings.services.values()), None)
    usages = first.usages if first else tuple(_EXTENDED_USAGES)
    return tuple(usage for usage in _EXTENDED_USAGES if usage in usages)


def leaf_duration(settings: Settings, service: ServiceSettings) -> timedelta:
    """Return how long a leaf of the service is valid."""
    return service.duration or settings.issuing.leaf.duration


def max_ttl(settings: Settings) -> timedelta:
    """Return the longest leaf that the role allows: as configured, else the longest asked for."""
    asked = [leaf_duration(settings, service) for service in settings.services.values()]
    return vault_settings(settings).max_ttl or max(asked, default=settings.issuing.leaf.duration)


def dns_names(settings: Settings, name: str) -> frozenset[str]:
    """Return the DNS names of a service in all of its clusters."""
    service = settings.services[name]
    return frozenset(
        dns_name
        for cluster in settings.clusters_of(service)
        if cluster in settings.clusters
        for dns_name in service_dns_names(name, service, settings.clusters[cluster].cluster_domain)
    )


def is_below(name: str, domains: tuple[str, ...]) -> bool:
    """Tell whether a role with these domains allows the DNS name."""
    bare = name.removeprefix("*.")
    return any(bare == domain or bare.endswith(f".{domain}") for domain in domains)


def _allowed_domains(settings: Settings, names: set[str]) -> tuple[str, ...]:
    configured = vault_settings(settings).allowed_domains
    if configured is not None:
        return tuple(sorted(configured))
    domains = {
        domain
        for namespace in settings.trust.namespaces
        for cluster in settings.clusters.values()
        for domain in (
            f"{namespace}.svc.{cluster.cluster_domain}",
            f"{namespace}.svc",
            namespace,
        )
    }
    inside = tuple(domains)
    domains |= {name.removeprefix("*.") for name in names if not is_below(name, inside)}
    return tuple(sorted(domains))


def _uris(settings: Settings) -> tuple[str, ...]:
    identities = {
        f"spiffe://{settings.trust_domain}/ns/{namespace}/sa/*"
        for namespace in settings.trust.namespaces
    }
    return tuple(
        sorted(identities | {uri for each in settings.services.values() for uri in each.uris})
    )
