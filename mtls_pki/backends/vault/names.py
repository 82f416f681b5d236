"""What things in a Vault are called, and what of the settings is about it."""

from __future__ import annotations

from mtls_pki.backends.vault.section import KEY, NAME, VaultSettings
from mtls_pki.pki.leaf_limits import LeafLimits
from mtls_pki.settings.leaf_limits import leaf_limits
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import (
    generations_held_by,
    issuer_name,
    issuing_ca_generation,
    issuing_generations,
)

# Hexadecimal digits of a SHA-256: enough to tell the few certificates of one issuing CA apart.
_IDENTIFYING = 8


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
    held = [
        each for each in issuing_generations(settings) if settings.backend_of(each).name == NAME
    ]
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
    section = settings.issuing.section(KEY)
    if not isinstance(section, VaultSettings):
        raise ValueError(f"issuing.{KEY} is not set")
    return section


def vault_generations(settings: Settings) -> tuple[str, ...]:
    """Return the generations whose issuing CA the Vault holds, whatever their role."""
    return generations_held_by(settings, NAME)


def vault_limits(settings: Settings) -> LeafLimits:
    """Return what the sign roles allow: as ``issuing.vault`` says, else what services ask for."""
    section = vault_settings(settings)
    return leaf_limits(
        settings, allowed_domains=section.allowed_domains, max_lifetime=section.max_ttl
    )
