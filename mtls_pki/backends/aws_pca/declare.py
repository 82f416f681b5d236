"""What is declared of AWS Private CA: issuers, and the policy that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from mtls_pki.backends.aws_pca.backend import AWS_ISSUER
from mtls_pki.backends.aws_pca.names import aws_pca_settings
from mtls_pki.backends.aws_pca.policy import issuer_policy
from mtls_pki.backends.aws_pca.section import Authority
from mtls_pki.backends.declare import Declare, IssuerPlace
from mtls_pki.components.aws_pca_issuer import AwsPcaIssuer, AwsPcaIssuerArgs
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.trust_anchor import TrustAnchor


class AwsPcaDeclare(Declare):
    """The CAs exist already; what is declared is who asks them."""

    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        """Declare one issuer with the ARN of its generation."""
        section = aws_pca_settings(self.settings)
        arn = section.authorities[place.generation]
        credentials = section.credentials
        return AwsPcaIssuer(
            place.resource_name,
            AwsPcaIssuerArgs(
                kind=AWS_ISSUER.kind(self.settings.issuing.kind),
                issuer_name=place.name,
                namespace=place.namespace,
                arn=arn,
                region=Authority.of(arn).region,
                role=section.role,
                credentials=(credentials.namespace, credentials.name) if credentials else None,
                cert_manager=(
                    self.settings.cert_manager.namespace,
                    self.settings.cert_manager.service_account,
                ),
                ready_timeout=self.settings.issuing.ready_timeout,
                on_failure=place.on_failure,
                guard=place.guard,
                delete_guard=place.delete_guard,
            ),
            place.options,
        )

    def request(self, generation: str, anchor: TrustAnchor) -> pulumi.Output[str] | None:
        """Return none: AWS has the request, and `mtls-pki aws-pca create` has it answered."""
        return None

    def outputs(self, anchors: Mapping[str, TrustAnchor]) -> Mapping[str, Any]:
        """Return the IAM policy that the issuers' identity needs, and no more than it needs."""
        return {"awsPcaPolicy": issuer_policy(self.settings)}
