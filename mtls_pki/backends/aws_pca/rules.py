"""Rules for what AWS Private CA signs; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.backends.aws_pca.names import aws_pca_generations, aws_pca_settings
from mtls_pki.backends.aws_pca.section import KEY, NAME
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.leaf_limits import leaf_duration
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import paths_that_ask_for

# AWS dates a certificate back by an hour unless the issuer asks otherwise, which it does from this
# release on; with less than this, an hour is so much of the lifetime that cert-manager renews a
# leaf again and again.
_BACKDATES_LESS = (1, 12)
# From here on `secretRef.namespace` must be that of a namespaced issuer.
_OWN_NAMESPACE = (1, 12)
_SHORTEST_LEAF = timedelta(hours=6)


def aws_pca_is_there_where_it_is_asked_for(settings: Settings) -> Iterator[Mistake]:
    """Demand the section ``issuing.awsPca`` where a private CA of AWS is asked for.

    Without its ARN nobody knows which CA is meant, and one account may have many.
    """
    for path in paths_that_ask_for(settings, NAME):
        if settings.issuing.section(KEY) is None:
            yield Mistake(
                path=path,
                message="aws-pca, but issuing.awsPca is missing; write `awsPca: {authorities: "
                "{g1: arn:aws:acm-pca:...}}` below issuing, or let `mtls-pki aws-pca` write it",
            )
        if settings.issuing.direct:
            yield Mistake(
                path=path,
                message="aws-pca contradicts issuing.direct: leaves are signed by a CA below the "
                "anchor; leave issuing.direct out",
            )


def anchors_in_aws_are_brought(settings: Settings) -> Iterator[Mistake]:
    """Demand of each anchor in AWS its certificates and the ARN of the CA that signs below it.

    AWS keeps the keys, so nothing here can be made from them. With the certificates in the stack
    file a preview is judged without credentials for AWS, and a reviewer sees what will be trusted.
    """
    section = settings.issuing.section(KEY)
    if section is None:
        return
    authorities = aws_pca_settings(settings).authorities
    for name, anchor in settings.anchors.items():
        if settings.backend_of(name).name != NAME:
            continue
        issuing_ca = anchor.issuing_ca
        given = {
            f"anchors.{name}.certificate": anchor.certificate is not None,
            f"anchors.{name}.issuingCa.certificate": issuing_ca is not None
            and issuing_ca.certificate is not None,
            f"issuing.awsPca.authorities.{name}": name in authorities,
        }
        # An anchor that is no longer trusted signs nothing.
        wanted = [path for path, there in given.items() if not there] if anchor.role.trusted else []
        for path in wanted:
            yield Mistake(
                path=path,
                message="missing; AWS holds the key, so certificates and ARN are given: "
                f"`mtls-pki aws-pca add {name} ARN` writes them for a CA that exists, `mtls-pki "
                f"aws-pca create {name}` for a new one",
            )


def arns_belong_to_anchors(settings: Settings) -> Iterator[Mistake]:
    """Demand that each of ``issuing.awsPca.authorities`` is the CA of one anchor in AWS.

    One that is left behind would be taken for the CA of the next generation of that name, and two
    generations of one CA would be one key.
    """
    if settings.issuing.section(KEY) is None:
        return
    seen: dict[str, str] = {}
    held = aws_pca_generations(settings)
    for name, arn in aws_pca_settings(settings).authorities.items():
        path = f"issuing.awsPca.authorities.{name}"
        if name not in settings.anchors or settings.backend_of(name).name != NAME:
            yield Mistake(
                path=path,
                message=f"AWS holds no issuing CA of {name}; remove it (there are: "
                f"{', '.join(held) or 'none'})",
            )
        if seen.setdefault(arn, name) != name:
            yield Mistake(
                path=path,
                message=f"is the CA of {seen[arn]} too; a generation has a CA of its own, so "
                f"create one: mtls-pki aws-pca create {name}",
            )


def aws_pca_signs_what_services_ask_for(settings: Settings) -> Iterator[Mistake]:
    """Demand keys, lifetimes and names that AWS Private CA grants.

    What it does not grant it refuses only when the leaf is due, and then cert-manager waits for an
    hour and longer (AWS, "Supported cryptographic algorithms").
    """
    if settings.issuing.section(KEY) is None or not paths_that_ask_for(settings, NAME):
        return
    if settings.issuing.intermediate and settings.issuing.intermediate.permitted_dns_domains:
        yield Mistake(
            path="issuing.intermediate.permittedDnsDomains",
            message="the templates of AWS Private CA give an issuing CA no name constraints, and "
            "its issuer drops them without a word; leave them out, or use another backend",
        )
    section = aws_pca_settings(settings)
    own = section.release >= _OWN_NAMESPACE and settings.issuing.kind == "Issuer"
    credentials = section.credentials if own else None
    if credentials and set(settings.trust.namespaces) != {credentials.namespace}:
        yield Mistake(
            path="issuing.awsPca.credentials.namespace",
            message=f"{credentials.namespace}: from release 1.12 on an AWSPCAIssuer reads a Secret "
            "of its own namespace alone, and there is one in each of trust.namespaces; write "
            "`kind: ClusterIssuer` below issuing, or use a role",
        )
    for name, service in settings.services.items():
        if service.key_algorithm == "Ed25519":
            yield Mistake(
                path=f"services.{name}.keyAlgorithm",
                message="Ed25519: AWS Private CA signs RSA and EC keys only; write P-256",
            )
        duration = leaf_duration(settings, service)
        if duration < _SHORTEST_LEAF and section.release < _BACKDATES_LESS:
            yield Mistake(
                path=f"services.{name}.duration" if service.duration else "issuing.leaf.duration",
                message=f"{format_duration(duration)} is below {format_duration(_SHORTEST_LEAF)}: "
                "AWS dates leaves back by an hour, and cert-manager would renew them again and "
                "again; ask for more, or run aws-privateca-issuer 1.12 and say so in "
                "issuing.awsPca.issuerRelease",
            )


RULES = (
    aws_pca_is_there_where_it_is_asked_for,
    anchors_in_aws_are_brought,
    arns_belong_to_anchors,
    aws_pca_signs_what_services_ask_for,
)
"""All of them, in the order in which their mistakes are listed."""
