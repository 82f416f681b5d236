"""The row of the backend ``step-ca``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.backends.backend import Backend
from mtls_pki.backends.step_ca.diagnosis import explain
from mtls_pki.backends.step_ca.names import is_external
from mtls_pki.backends.step_ca.rules import RULES
from mtls_pki.backends.step_ca.section import KEY, NAME, StepCaSettings
from mtls_pki.settings.extensions import BackendSettings, IssuerApi

if TYPE_CHECKING:
    from mtls_pki.backends.declare import Declare

STEP_ISSUER = IssuerApi(
    group="certmanager.step.sm",
    version="v1beta1",
    issuer="StepIssuer",
    cluster_issuer="StepClusterIssuer",
)
"""The API of step-issuer 0.12 (its api/v1beta1)."""


class StepCaBackend(Backend):
    """A step-ca for each generation signs with an issuing CA whose key this stack makes."""

    settings = BackendSettings(
        name=NAME,
        section=StepCaSettings,
        key=KEY,
        rules=RULES,
        authority="the step-ca",
        # Part of the names of objects that exist, so it never changes.
        suffix="step",
        decides_leaves=True,
        remedy_for_short_leaves="raise issuing.stepCa.maxTtl, or ask for less",
        issuer_api=STEP_ISSUER,
        of_generations=("urls", "external"),
        keeps_key_of=is_external,
    )
    signer = NAME
    issuer_spec = "provisioner"

    def declare(self) -> type[Declare]:
        from mtls_pki.backends.step_ca.declare import StepCaDeclare

        return StepCaDeclare

    def explain(self, message: str) -> str | None:
        return explain(message)

    def issuer_remedy(self, kind: str) -> str:
        return (
            "see in the log of step-issuer what its step-ca says, correct it, and run `pulumi up` "
            "again"
        )
