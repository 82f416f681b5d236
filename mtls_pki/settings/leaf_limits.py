"""What leaves the services of a stack ask for, and the limits that allow no more."""

from __future__ import annotations

from datetime import timedelta

from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KEY_KINDS
from mtls_pki.pki.leaf_limits import LeafLimits
from mtls_pki.settings.model import ServiceSettings, Settings
from mtls_pki.settings.names import service_dns_names

_USAGES = ("server auth", "client auth")


def leaf_limits(
    settings: Settings,
    *,
    allowed_domains: tuple[str, ...] | None = None,
    max_lifetime: timedelta | None = None,
) -> LeafLimits:
    """Return the limits that fit the services and the namespaces of the bundle.

    One set of limits serves all services of a generation, since they share its issuing CA.

    Args:
        settings: the stack's settings.
        allowed_domains: DNS domains in place of those that services and namespaces lead to.
        max_lifetime: in place of the longest that the services ask for.
    """
    services = settings.services
    algorithms = {service.key_algorithm for service in services.values()} or {DEFAULT_KEY}
    names = {name for each in services for name in dns_names(settings, each)}
    return LeafLimits(
        allowed_domains=_allowed_domains(settings, names, allowed_domains),
        wildcards=any(name.startswith("*.") for name in names),
        ip_addresses=any(service.ip_addresses for service in services.values()),
        uris=_uris(settings),
        key_algorithms=frozenset(algorithms),
        usages=usages_of(settings),
        key_encipherment=all(KEY_KINDS[algorithm].key_encipherment for algorithm in algorithms),
        max_lifetime=max_lifetime or longest_leaf(settings),
    )


def usages_of(settings: Settings) -> tuple[str, ...]:
    """Return the usages that all services share; server and client auth if there is no service."""
    first = next(iter(settings.services.values()), None)
    usages = first.usages if first else _USAGES
    return tuple(usage for usage in _USAGES if usage in usages)


def leaf_duration(settings: Settings, service: ServiceSettings) -> timedelta:
    """Return how long a leaf of the service is valid."""
    return service.duration or settings.issuing.leaf.duration


def longest_leaf(settings: Settings) -> timedelta:
    """Return the longest lifetime that a service asks for; the default where there is none."""
    wanted = [leaf_duration(settings, service) for service in settings.services.values()]
    return max(wanted, default=settings.issuing.leaf.duration)


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
    """Tell whether limits with these domains allow the DNS name."""
    bare = name.removeprefix("*.")
    return any(bare == domain or bare.endswith(f".{domain}") for domain in domains)


def _allowed_domains(
    settings: Settings, names: set[str], configured: tuple[str, ...] | None
) -> tuple[str, ...]:
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
    return tuple(
        sorted(
            {
                f"spiffe://{settings.trust_domain}/ns/{namespace}/sa/*"
                for namespace in settings.trust.namespaces
            }
        )
    )
