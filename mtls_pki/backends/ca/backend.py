"""The row of the backend ``ca``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.backends.backend import Backend
from mtls_pki.settings.extensions import BackendSettings

if TYPE_CHECKING:
    from mtls_pki.backends.declare import Declare

NAME = "ca"
"""In the stack file."""


class CaBackend(Backend):
    """cert-manager signs with a CA Secret that this stack writes."""

    settings = BackendSettings(name=NAME)
    issuer_spec = "ca"

    def issuer_remedy(self, kind: str) -> str:
        where = (
            " (it must stand in cert-manager's cluster resource namespace, "
            "issuing.clusterResourceNamespace)"
            if kind == "ClusterIssuer"
            else ""
        )
        return f"correct the CA Secret it names{where} and run `pulumi up` again"

    def declare(self) -> type[Declare]:
        from mtls_pki.backends.ca.declare import CaDeclare

        return CaDeclare
