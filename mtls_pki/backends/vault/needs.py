"""What this program's token must be allowed to do in a Vault, as policies spell it."""

from __future__ import annotations

from collections.abc import Mapping

from mtls_pki.backends.vault.names import (
    held_issuer_name,
    login_role_names,
    sign_role_name,
    vault_auth_path,
    vault_generations,
    vault_settings,
)
from mtls_pki.settings.model import Settings

# Most paths cannot tell create from update, so creating needs `update`.
_WRITES = ("read", "update")
_OWNS = (*_WRITES, "delete")


def needed_capabilities(settings: Settings, *, only_reading: bool) -> Mapping[str, tuple[str, ...]]:
    """Return path -> capabilities for ``up``, or of these what a preview reads.

    deploy/vault-policy.hcl and deploy/vault-policy-evidence.hcl say the same with wildcards.
    """
    vault = vault_settings(settings)
    needs: dict[str, tuple[str, ...]] = {
        f"sys/mounts/{vault.mount}": ("read",) if vault.adopt else _WRITES,
        f"{vault.mount}/issuers/generate/intermediate/internal": ("update",),
        f"{vault.mount}/intermediate/set-signed": ("update",),
    }
    if not vault.adopt:
        needs[f"sys/mounts/{vault.mount}/tune"] = ("update",)
        needs[f"{vault.mount}/config/issuers"] = _WRITES
    for generation in vault_generations(settings):
        role = sign_role_name(settings, generation)
        # The server gives it an id of its own, which only a `+` can stand for.
        needs[f"{vault.mount}/issuer/{held_issuer_name(settings, generation)}"] = (*_OWNS, "patch")
        needs[f"{vault.mount}/roles/{role}"] = _OWNS
        needs[f"sys/policies/acl/{role}"] = _OWNS
    for cluster in settings.clusters:
        path = vault_auth_path(settings, cluster)
        needs[f"sys/auth/{path}"] = ("update", "delete", "sudo")
        needs[f"sys/mounts/auth/{path}"] = ("read",)
        needs[f"sys/mounts/auth/{path}/tune"] = ("update",)
        needs[f"auth/{path}/config"] = _WRITES
        for role in login_role_names(settings):
            needs[f"auth/{path}/role/{role}"] = ("create", *_OWNS)
    if not only_reading:
        return needs
    return {path: ("read",) for path, capabilities in needs.items() if "read" in capabilities}
