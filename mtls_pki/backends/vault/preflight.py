"""Whether a Vault is ready for the stack, and what of the stack it holds already."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mtls_pki.backends.vault.connection import ServerFacts, Vault
from mtls_pki.backends.vault.names import (
    held_issuer_name,
    issuer_name_of,
    vault_auth_path,
    vault_generations,
    vault_limits,
    vault_settings,
)
from mtls_pki.backends.vault.needs import needed_capabilities
from mtls_pki.backends.vault.transport import VaultError
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.model import Settings

# Leaves begin this long before the Vault's own time (its PKI engine's not_before_duration), so a
# verifier whose clock is further behind would not take them yet.
_CLOCK_TOLERANCE_SECONDS = 30
# `max_lease_ttl` of both servers where neither their configuration nor the mount says more; what
# the configuration says no token of this program may read.
_DEFAULT_LIMIT = timedelta(hours=768)


@dataclass(frozen=True, kw_only=True)
class VaultReading:
    """What the Vault holds before this run.

    Attributes:
        server: what it is; None where it could not be asked.
        mount_exists: whether the mount of this stack is there.
        auth_paths: the auth methods of this stack that are there.
        problems: why the stack cannot be applied, each with its remedy.
        warnings: what a person should hear.
    """

    server: ServerFacts | None = None
    mount_exists: bool = False
    auth_paths: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def description(settings: Settings) -> str:
    """Return what mounts of this stack say of themselves; it tells them from other teams'."""
    return f"mTLS trust of {settings.trust_domain} (mtls-pki)"


def read_vault(
    vault: Vault, settings: Settings, *, in_use: Collection[str], only_reading: bool
) -> VaultReading:
    """Return what the Vault holds, and every reason why the stack cannot be applied to it.

    Args:
        vault: the connection.
        settings: the stack's settings.
        in_use: the generations from which clusters issue already.
        only_reading: whether this run only previews.
    """
    try:
        server = vault.server()
    except VaultError as error:
        return VaultReading(problems=(str(error),))
    unusable = _unusable(vault, server)
    if unusable is not None:
        return VaultReading(server=server, problems=(unusable,))
    try:
        return _read(vault, settings, server, in_use=in_use, only_reading=only_reading)
    except VaultError as error:
        return VaultReading(server=server, problems=(str(error),))


def _unusable(vault: Vault, server: ServerFacts) -> str | None:
    if not server.initialized:
        return f"{vault.address.url} is not initialised; run `bao operator init` and unseal it"
    if server.sealed:
        return (
            f"{vault.address.url} is sealed; unseal it (`bao operator unseal`). Its keys are not "
            "lost, and nothing has to be made anew"
        )
    try:
        return vault.token_mistake()
    except VaultError as error:
        return str(error)


def _read(
    vault: Vault,
    settings: Settings,
    server: ServerFacts,
    *,
    in_use: Collection[str],
    only_reading: bool,
) -> VaultReading:
    missing = vault.missing_capabilities(needed_capabilities(settings, only_reading=only_reading))
    if missing:
        policy = "vault-policy-evidence.hcl" if only_reading else "vault-policy.hcl"
        lines = [
            f'path "{path}" {{ capabilities = [{", ".join(f"{each!r}" for each in lacking)}] }}'
            for path, lacking in missing.items()
        ]
        return VaultReading(
            server=server,
            problems=(
                f"the token's policy lacks these lines (deploy/{policy} has them all):\n    "
                + "\n    ".join(lines).replace("'", '"'),
            ),
        )
    path = vault_settings(settings).mount
    mount = vault.mount(path)
    auth = {
        each: method
        for each in (vault_auth_path(settings, cluster) for cluster in settings.clusters)
        if (method := vault.auth_method(each)) is not None
    }
    problems = [
        *_mount_problems(settings, mount, in_use),
        *_auth_problems(settings, auth),
        *(_issuer_problems(vault, settings, in_use) if mount else ()),
    ]
    return VaultReading(
        server=server,
        mount_exists=mount is not None,
        auth_paths=frozenset(auth),
        problems=tuple(problems),
        warnings=tuple(_clock_warnings(vault, server)),
    )


def _mount_problems(
    settings: Settings, mount: Mapping[str, Any] | None, in_use: Collection[str]
) -> Iterator[str]:
    vault = vault_settings(settings)
    if mount is None:
        if in_use:
            yield (
                f"the mount {vault.mount} is gone from the Vault, but clusters issue from it (by "
                f"{', '.join(sorted(in_use))}). Making it anew would make other keys. Restore the "
                "Vault from its backup; if its keys are lost for good, run `pulumi refresh` and go "
                "on with a new issuing CA under the same anchor: a new name as "
                "issuing.intermediate.generation"
            )
        elif vault.adopt:
            yield (
                f"issuing.vault.adopt is true, but there is no mount {vault.mount}; leave adopt "
                "out to have it made"
            )
        return
    if mount.get("type") != "pki":
        yield (
            f"the mount {vault.mount} is of type {mount.get('type')}, not pki; name another as "
            "issuing.vault.mount"
        )
    elif vault.adopt:
        yield from _lease_problems(settings, mount)
    elif mount.get("description") != description(settings):
        yield (
            f"the mount {vault.mount} is not this stack's (its description is "
            f"{mount.get('description')!r}); name another as issuing.vault.mount, or use it as it "
            "is with issuing.vault.adopt: true"
        )


def _lease_problems(settings: Settings, mount: Mapping[str, Any]) -> Iterator[str]:
    """A mount's own limit: the server cuts leaves to it, whatever their role allows."""
    path, wanted = vault_settings(settings).mount, vault_limits(settings).max_lifetime
    own = timedelta(seconds=mount.get("config", {}).get("max_lease_ttl", 0))
    limit = own or _DEFAULT_LIMIT
    if limit < wanted:
        whose = "" if own else " (the server's default, for it has no limit of its own)"
        yield (
            f"the mount {path} signs for at most {format_duration(limit)}{whose}, and leaves of "
            f"{format_duration(wanted)} are asked for; raise its limit (`bao secrets tune "
            f"-max-lease-ttl={format_duration(wanted)} {path}`), or give the leaves a shorter "
            "duration"
        )


def _auth_problems(settings: Settings, auth: dict[str, dict[str, str]]) -> Iterator[str]:
    for path, method in auth.items():
        if method.get("type") != "kubernetes" or method.get("description") != description(settings):
            yield (
                f"the auth method {path} is not this stack's (type {method.get('type')}, "
                f"description {method.get('description')!r}); write another issuing.vault.authPath"
            )


def _issuer_problems(vault: Vault, settings: Settings, in_use: Collection[str]) -> Iterator[str]:
    """Issuing CAs that clusters use and the mount has no more."""
    mount = vault_settings(settings).mount
    held: dict[str, bool] = {}
    for issuer in vault.issuers(mount) if in_use else ():
        name = issuer_name_of(issuer.name)
        held[name] = held.get(name, False) or issuer.has_key
    for generation in vault_generations(settings):
        name = held_issuer_name(settings, generation)
        if generation not in in_use:
            continue
        if name not in held:
            yield (
                f"the issuing CA {name} is gone from the mount {mount}, but clusters issue from "
                "it. Its key may still be there: restore the Vault from its backup, or import its "
                f"certificate again (`bao write {mount}/intermediate/set-signed certificate=@...`) "
                "and name it; else go on with a new one (issuing.intermediate.generation)"
            )
        elif not held[name]:
            yield (
                f"the issuing CA {name} in the mount {mount} has no key any more; restore the "
                "Vault from its backup, or go on with a new one (issuing.intermediate.generation)"
            )


def clock_skew(server: ServerFacts) -> float | None:
    """Return how far the server's clock is ahead of this machine's, in seconds, if it matters."""
    skew = (server.clock - datetime.now(UTC)).total_seconds()
    return skew if abs(skew) > _CLOCK_TOLERANCE_SECONDS else None


def _clock_warnings(vault: Vault, server: ServerFacts) -> Iterator[str]:
    skew = clock_skew(server)
    if skew is not None:
        ahead = "ahead of" if skew > 0 else "behind"
        yield (
            f"the clock of {vault.address.url} is {abs(skew):.0f} s {ahead} that of this machine; "
            "leaves would begin too late or end too early for verifiers: let both follow one time "
            "service"
        )
