"""How what was read from a Vault speaks to the Pulumi engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pulumi
from cryptography import x509

from mtls_pki.backends.vault.comparison import ISSUER_FIELDS, ROLE_FIELDS, differences
from mtls_pki.backends.vault.connection import Vault
from mtls_pki.backends.vault.diagnosis import explain
from mtls_pki.backends.vault.environment import overriding_variables
from mtls_pki.backends.vault.preflight import VaultReading, read_vault
from mtls_pki.backends.vault.transport import VaultError, vault_address
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import vault_settings

# The provider asks the server for its version and then sends what that version of Vault knows.
# OpenBao's own numbers (2.x) would stand for everything; it knows what Vault 1.18 does, less some.
_OPENBAO_SPEAKS = "1.18.5"


def require_vault(settings: Settings, directory: Path, in_use: Collection[str]) -> VaultReading:
    """Return what the Vault holds, or stop the run before the first change.

    Previews stop too: what a sealed Vault would show as missing is not missing.

    Raises:
        pulumi.RunError: the Vault is not ready for the stack; with every reason.
    """
    section = vault_settings(settings)
    vault = Vault(vault_address(section, directory))
    reading = read_vault(vault, settings, in_use=in_use, only_reading=pulumi.runtime.is_dry_run())
    problems = [*overriding_variables(section, os.environ), *reading.problems]
    if problems:
        raise pulumi.RunError(
            "\n".join(["the Vault is not ready for this stack; nothing was touched:", *problems])
        )
    for warning in reading.warnings:
        pulumi.log.warn(warning)
    return reading


def version_override(reading: VaultReading) -> str | None:
    """Return the version of Vault that the provider shall take the server for."""
    return _OPENBAO_SPEAKS if reading.server is not None and reading.server.openbao else None


def find_issuer(settings: Settings, directory: Path) -> Callable[[str], str]:
    """Return the function from a certificate to the id that the Vault gave to its issuer.

    It reads the mount only for a certificate that it has not seen there in this run, and raises
    :class:`pulumi.RunError` where the mount does not have it.
    """
    section = vault_settings(settings)
    known: dict[x509.Certificate, str] = {}

    def find(chain_pem: str) -> str:
        wanted = parse_certificates(chain_pem, origin="the issuing CA")[0]
        if wanted in known:
            return known[wanted]
        try:
            for issuer in Vault(vault_address(section, directory)).issuers(section.mount):
                held = parse_certificates(issuer.certificate_pem, origin="issuer")[0]
                known[held] = issuer.issuer_id
        except (VaultError, PkiError) as error:
            raise pulumi.RunError(str(error)) from None
        if wanted in known:
            return known[wanted]
        raise pulumi.RunError(
            f"the mount {section.mount} does not hold the issuing CA "
            f"{wanted.subject.rfc4514_string()}; restore the Vault from its backup, or go on with "
            "a new issuing CA (issuing.intermediate.generation)"
        )

    return find


def vault_failure_hook() -> pulumi.ErrorHook:
    """Return the hook that says what an error of the Vault means."""

    def on_error(args: pulumi.ErrorHookArgs) -> bool:
        meaning = explain(args.errors[0]) if args.errors else None
        if meaning is not None:
            pulumi.log.error(f"{args.name}: {meaning}")
        return False

    # No name of a cluster has a colon, and the hook of a cluster is called after it.
    return pulumi.ErrorHook("explain:vault", on_error)


def comparison_hook(settings: Settings, directory: Path) -> pulumi.ResourceHook:
    """Return the hook that stops where the server ignored a parameter it was asked for."""
    section = vault_settings(settings)

    def compare(args: pulumi.ResourceHookArgs) -> None:
        asked: Any = args.new_inputs or {}
        if args.type.endswith("SecretBackendRole"):
            path, fields = f"{section.mount}/roles/{asked['name']}", ROLE_FIELDS
        else:
            path, fields = f"{section.mount}/issuer/{asked['issuerName']}", ISSUER_FIELDS
        try:
            held = Vault(vault_address(section, directory)).read(path) or {}
        except VaultError as error:
            raise pulumi.RunError(str(error)) from None
        found = list(differences(asked, held, fields))
        if found:
            raise pulumi.RunError(
                f"{path} is not what was asked for; the server ignored or changed:\n  "
                + "\n  ".join(found)
                + "\nWrite in issuing.vault what this server can do, or use one that can do it"
            )

    return pulumi.ResourceHook("compare-vault", compare)
