"""What this program's token must be allowed to do in a Vault, as policies spell it."""

from __future__ import annotations

from collections.abc import Mapping

from settings.model import Settings
from settings.names import (
    issuer_name,
    issuing_ca_generation,
    sign_role_name,
    vault_auth_path,
    vault_generations,
    vault_settings,
)

_CHANGES = ("read", "update")
_OWNS = (*_CHANGES, "delete")
_READING = frozenset({"read", "list"})


def held_issuer_name(settings: Settings, generation: str) -> str:
    """Return the name of an issuing CA in the mount: ``g1-i1``."""
    return f"{generation}-{issuing_ca_generation(settings, generation) or 'i1'}"


def needed_capabilities(settings: Settings, *, only_reading: bool) -> Mapping[str, tuple[str, ...]]:
    """Return path -> capabilities for ``up``, or of these what a preview reads.

    deploy/vault-policy.hcl and deploy/vault-policy-evidence.hcl say the same with wildcards.
    """
    vault = vault_settings(settings)
    needs: dict[str, tuple[str, ...]] = {
        f"{vault.mount}/issuers/generate/intermediate/internal": ("update",),
        f"{vault.mount}/intermediate/set-signed": ("update",),
        f"sys/mounts/{vault.mount}": ("read",) if vault.adopt else _CHANGES,
    }
    if not vault.adopt:
        needs[f"sys/mounts/{vault.mount}/tune"] = ("update",)
        needs[f"{vault.mount}/config/issuers"] = _CHANGES
    for generation in vault_generations(settings):
        role = sign_role_name(settings, generation)
        issuer = held_issuer_name(settings, generation)
        needs[f"{vault.mount}/issuer/{issuer}"] = (*_OWNS, "patch")
        needs[f"{vault.mount}/roles/{role}"] = _OWNS
        needs[f"sys/policies/acl/{role}"] = _OWNS
    for cluster in settings.clusters:
        path = vault_auth_path(settings, cluster)
        needs[f"sys/auth/{path}"] = ("update", "delete", "sudo")
        # The same method without sudo.
        needs[f"sys/mounts/auth/{path}"] = ("read",)
        needs[f"sys/mounts/auth/{path}/tune"] = ("update",)
        needs[f"auth/{path}/config"] = _CHANGES
        for generation in vault_generations(settings):
            needs[f"auth/{path}/role/{issuer_name(settings, generation)}"] = ("create", *_OWNS)
    if not only_reading:
        return needs
    reading = {
        path: tuple(each for each in capabilities if each in _READING)
        for path, capabilities in needs.items()
    }
    return {path: capabilities for path, capabilities in reading.items() if capabilities}
