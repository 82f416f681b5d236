"""The row of the backend ``vault``."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from mtls_pki.backends.backend import Backend, Health, JobIdentity
from mtls_pki.backends.vault.diagnosis import explain
from mtls_pki.backends.vault.rules import RULES
from mtls_pki.backends.vault.section import KEY, NAME, VaultSettings
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.settings.extensions import BackendSettings
from mtls_pki.settings.model import Settings

if TYPE_CHECKING:
    from mtls_pki.backends.declare import Declare


class VaultBackend(Backend):
    """A Vault or OpenBao keeps the issuing CA's key, and signs by a role for each generation."""

    settings = BackendSettings(
        name=NAME,
        section=VaultSettings,
        key=KEY,
        rules=RULES,
        authority="the Vault",
        # Part of the names of objects that exist, so it never changes.
        suffix=NAME,
        keeps_key=True,
        decides_leaves=True,
        remedy_for_short_leaves="raise issuing.vault.maxTtl, or ask for less",
    )
    signer = NAME
    takes_login = "Vault"
    issuer_spec = "vault"

    def declare(self) -> type[Declare]:
        from mtls_pki.backends.vault.declare import VaultDeclare

        return VaultDeclare

    def explain(self, message: str) -> str | None:
        return explain(message)

    def issuer_remedy(self, kind: str) -> str:
        return "correct what its Vault says and run `pulumi up` again"

    def health(self, settings: Settings, directory: Path, evidence: Evidence) -> Health | None:
        # hvac takes a while to import, which commands that ask no Vault need not wait for.
        from mtls_pki.backends.vault.health_view import read_status

        return read_status(settings, directory, evidence)

    def login(
        self,
        stack: str,
        settings: Settings,
        directory: Path,
        environment: MutableMapping[str, str],
        identity: JobIdentity,
    ) -> AbstractContextManager[None]:
        from mtls_pki.backends.vault.job_login import logged_in

        return logged_in(stack, settings, directory, environment, identity)
