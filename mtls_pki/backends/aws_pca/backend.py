"""The row of the backend ``aws-pca``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.backends.aws_pca.diagnosis import explain
from mtls_pki.backends.aws_pca.rules import RULES
from mtls_pki.backends.aws_pca.section import KEY, NAME, AwsPcaSettings
from mtls_pki.backends.backend import Backend
from mtls_pki.settings.extensions import BackendSettings, IssuerApi

if TYPE_CHECKING:
    from mtls_pki.backends.declare import Declare

AWS_ISSUER = IssuerApi(
    group="awspca.cert-manager.io",
    version="v1beta1",
    issuer="AWSPCAIssuer",
    cluster_issuer="AWSPCAClusterIssuer",
)
"""The API of aws-privateca-issuer 1.9 (its pkg/api/v1beta1)."""


class AwsPcaBackend(Backend):
    """A CA of AWS Private CA signs for each generation."""

    settings = BackendSettings(
        name=NAME,
        section=AwsPcaSettings,
        key=KEY,
        rules=RULES,
        authority="AWS Private CA",
        # Part of the names of objects that exist, so it never changes.
        suffix="pca",
        keeps_key=True,
        decides_leaves=True,
        issuer_api=AWS_ISSUER,
        of_generations=("authorities",),
    )
    signer = NAME
    issuer_spec = "arn"

    def declare(self) -> type[Declare]:
        from mtls_pki.backends.aws_pca.declare import AwsPcaDeclare

        return AwsPcaDeclare

    def explain(self, message: str) -> str | None:
        return explain(message)

    def issuer_remedy(self, kind: str) -> str:
        return (
            "correct issuing.awsPca and run `pulumi up` again; the log of aws-privateca-issuer "
            "says more"
        )
