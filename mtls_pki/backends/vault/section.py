"""The section ``issuing.vault`` of the stack file."""

from __future__ import annotations

from pydantic import StrictBool

from mtls_pki.settings.section import Section
from mtls_pki.settings.types import Domain, Duration, HttpsUrl, PassedOnFile, VaultPath

NAME = "vault"
"""Of the backend, in the stack file."""

KEY = "vault"
"""Of its section, below ``issuing``."""


class VaultSettings(Section):
    """The Vault (or OpenBao) whose PKI mount holds the issuing CAs."""

    # As cert-manager reaches it; `address` as this program does, where that differs.
    server: HttpsUrl
    address: HttpsUrl | None = None
    # Of the CA that signed its server certificate; None trusts what the system trusts.
    ca_bundle: PassedOnFile | None = None
    namespace: VaultPath | None = None
    mount: VaultPath = "pki-mesh"
    # The mount is another team's: use it as it is, and never change or delete it.
    adopt: StrictBool = False
    # Mount and issuers refuse to leave the stack; write false one `up` before they are meant to.
    protect: StrictBool = True
    # DNS domains below which the sign roles allow names; None: the namespaces of the bundle.
    allowed_domains: tuple[Domain, ...] | None = None
    # The longest leaf that the sign roles allow; None: the longest that the services ask for.
    max_ttl: Duration | None = None
    # Of the Kubernetes auth methods: `<authPath>-<cluster>`.
    auth_path: VaultPath = "kubernetes"

    @property
    def reached_at(self) -> str:
        """How this program reaches it."""
        return self.address or self.server
