"""Rules for issuing CAs in a Vault and for its sign roles; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.backends.vault.names import vault_limits, vault_settings
from mtls_pki.backends.vault.section import KEY, NAME
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.leaf_limits import dns_names, is_below, leaf_duration, usages_of
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import paths_that_ask_for


def vault_is_there_where_it_is_asked_for(settings: Settings) -> Iterator[Mistake]:
    """Demand the section ``issuing.vault``, and an issuing CA, where a Vault is asked for.

    A Vault holds an issuing CA and never an anchor, so it contradicts leaves directly under the
    root.
    """
    for path in paths_that_ask_for(settings, NAME):
        if settings.issuing.section(KEY) is None:
            yield Mistake(
                path=path,
                message="vault, but issuing.vault is missing; write `vault: {server: https://...}` "
                "below issuing",
            )
        if settings.issuing.direct:
            yield Mistake(
                path=path,
                message="vault contradicts issuing.direct: a Vault holds an issuing CA, never the "
                "anchor; leave issuing.direct out",
            )


def _in_use(settings: Settings) -> bool:
    return bool(paths_that_ask_for(settings, NAME)) and settings.issuing.section(KEY) is not None


def sign_role_allows_what_services_ask_for(settings: Settings) -> Iterator[Mistake]:
    """Demand that the sign role allows what each service asks for.

    One role signs for all services of a generation. What it does not allow it refuses, or leaves
    out without a word (Vault's PKI API, "Create/Update role").
    """
    if not _in_use(settings):
        return
    domains = vault_limits(settings).allowed_domains
    usages = usages_of(settings)
    for name, service in settings.services.items():
        outside = sorted(each for each in dns_names(settings, name) if not is_below(each, domains))
        if outside:
            yield Mistake(
                path=f"services.{name}.dnsNames",
                message=f"{', '.join(outside)}: outside issuing.vault.allowedDomains "
                f"({', '.join(domains)}); list names inside, or allow the domain",
            )
        if set(service.usages) != set(usages):
            yield Mistake(
                path=f"services.{name}.usages",
                message=f"{', '.join(service.usages)}: a Vault's role gives every leaf the same "
                f"usages, here {', '.join(usages)}; write the same for all services",
            )
        for key, values in (
            ("organizations", service.organizations),
            ("emailAddresses", service.email_addresses),
        ):
            if values:
                yield Mistake(
                    path=f"services.{name}.{key}",
                    message=f"{', '.join(values)}: the Vault's role of this stack signs DNS names, "
                    "IP addresses and URIs only; leave them out, or choose another backend",
                )
        if service.common_name is not None and service.common_name not in dns_names(settings, name):
            yield Mistake(
                path=f"services.{name}.commonName",
                message=f"{service.common_name!r}: a Vault's role allows it only as one of the DNS "
                "names; add it to dnsNames",
            )


def leaves_fit_the_sign_role(settings: Settings) -> Iterator[Mistake]:
    """Demand that no service asks for a longer leaf than ``issuing.vault.maxTtl``.

    The Vault would cut the leaf to that length and say nothing, so it would live shorter than the
    review says.
    """
    if not _in_use(settings):
        return
    limit = vault_settings(settings).max_ttl
    if limit is None:
        return
    # Where the leaves of several services are too long by the default, the default is one mistake.
    durations = {
        f"services.{name}" if service.duration else "issuing.leaf": leaf_duration(settings, service)
        for name, service in settings.services.items()
    }
    for path, duration in durations.items():
        if duration > limit:
            yield Mistake(
                path=f"{path}.duration",
                message=f"{format_duration(duration)} is above issuing.vault.maxTtl "
                f"({format_duration(limit)}), to which the Vault would cut it; write less, "
                "or raise maxTtl",
            )


RULES = (
    vault_is_there_where_it_is_asked_for,
    sign_role_allows_what_services_ask_for,
    leaves_fit_the_sign_role,
)
"""All of them, in the order in which their mistakes are listed."""
