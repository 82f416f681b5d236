"""Which templates of AWS Private CA are asked for, and the IAM policy that allows just these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mtls_pki.backends.aws_pca.names import aws_pca_generations, aws_pca_settings
from mtls_pki.backends.aws_pca.section import Authority
from mtls_pki.pki.key_algorithms import KEY_KINDS
from mtls_pki.settings.model import Settings

_ANY_OTHER = "BlankEndEntityCertificate_APICSRPassthrough/V1"
# aws-privateca-issuer 1.9.2, pkg/aws/pca.go, buildTemplateArn: by the usages of the request.
_TEMPLATES = {
    frozenset({"code signing"}): "CodeSigningCertificate/V1",
    frozenset({"client auth"}): "EndEntityClientAuthCertificate/V1",
    frozenset({"server auth"}): "EndEntityServerAuthCertificate/V1",
    frozenset({"ocsp signing"}): "OCSPSigningCertificate/V1",
    frozenset({"client auth", "server auth"}): "EndEntityCertificate/V1",
}


def template_of(usages: Sequence[str]) -> str:
    """Return the template that aws-privateca-issuer asks for, by the usages of a Certificate."""
    unlike = len(usages) != len(set(usages))
    return _ANY_OTHER if unlike else _TEMPLATES.get(frozenset(usages), _ANY_OTHER)


def template_arn(partition: str, template: str) -> str:
    """Return the ARN of a template of AWS's own."""
    return f"arn:{partition}:acm-pca:::template/{template}"


def templates_of(settings: Settings) -> tuple[str, ...]:
    """Return the templates that the Certificates of the stack's services lead to."""
    services = settings.services.values()
    found = {template_of(KEY_KINDS[each.key_algorithm].usages(each.usages)) for each in services}
    return tuple(sorted(found or {_ANY_OTHER}))


def issuer_policy(settings: Settings) -> dict[str, Any]:
    """Return the IAM policy of aws-privateca-issuer for this stack, as a JSON document.

    Nothing but the private CAs of the stack's trusted anchors, and no template that would make a
    CA (AWS, "Actions, resources, and condition keys for AWS Private Certificate Authority").
    """
    authorities = aws_pca_settings(settings).authorities
    held = [
        authorities[generation]
        for generation in aws_pca_generations(settings)
        if settings.anchors[generation].role.trusted and generation in authorities
    ]
    partitions = dict.fromkeys(Authority.of(arn).partition for arn in held)
    templates = [
        template_arn(partition, template)
        for partition in partitions
        for template in templates_of(settings)
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement(
                "Issue",
                ["acm-pca:IssueCertificate"],
                held,
                Condition={"StringEquals": {"acm-pca:TemplateArn": templates}},
            ),
            _statement(
                "Read", ["acm-pca:DescribeCertificateAuthority", "acm-pca:GetCertificate"], held
            ),
        ],
    }


def _statement(
    name: str, actions: Iterable[str], resources: Iterable[str], **more: Any
) -> dict[str, Any]:
    head = {"Sid": name, "Effect": "Allow", "Action": [*actions], "Resource": [*resources]}
    return {**head, **more}
