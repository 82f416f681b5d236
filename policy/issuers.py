"""Rules on who may issue: issuers of this trust domain, for identities of this trust domain."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from pki.chain import signing_anchors
from policy.model import UNKNOWN, Finding, Parameters, Resource, Stack, about
from policy.objects import (
    BUNDLE,
    CERTIFICATE,
    CLUSTER_ISSUER,
    CONFIG_MAP,
    ISSUER,
    SECRET,
    ca_chain,
    certificates_in,
    is_installed_chart,
    is_stage_record,
)

_CERT_MANAGER = "cert-manager.io"
# Issuers of cert-manager whose leaves chain to no anchor of a trust domain.
_FOREIGN_KINDS = ("selfSigned", "acme")

ISSUER_PARAMETERS = {
    "issuers": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "Issuers declared elsewhere: ClusterIssuer/NAME or Issuer/NAMESPACE/NAME.",
    }
}
IDENTITY_PARAMETERS = {
    "trustDomain": {
        "type": "string",
        "default": "",
        "description": "The SPIFFE trust domain; empty: what the stack exports as trustDomain.",
    }
}


def foreign_issuers(stack: Stack, parameters: Parameters) -> Iterator[Finding]:
    """Find Certificates of issuers that are not this domain's, and issuers whose CA is not."""
    for cluster, objects in stack.clusters():
        resources = [r for r in objects.resources if not is_installed_chart(r)]
        declared = {identity for r in resources if (identity := _identity(r))}
        for certificate in (r for r in resources if r.type == CERTIFICATE):
            wanted = _wanted(certificate)
            if wanted is None or wanted in declared or _name(wanted) in parameters["issuers"]:
                continue
            yield about(
                certificate,
                f"its issuer {_name(wanted)} ({wanted[0]}) is not declared in cluster {cluster} by "
                "this stack",
            )
        yield from _foreign_authorities(resources)


def foreign_identities(stack: Stack, parameters: Parameters) -> Iterator[Finding]:
    """Find SPIFFE IDs of another trust domain in Certificates."""
    exported = stack.exports.text("trustDomain") if stack.exports else None
    domain = parameters["trustDomain"] or exported
    for certificate in stack.of(CERTIFICATE):
        for uri in certificate.texts("spec", "uris"):
            named = trust_domain_of(uri)
            if named is None or named == domain:
                continue
            if domain:
                problem = f"{uri} is of trust domain {named}, not {domain}"
            else:
                problem = (
                    f"{uri} cannot be judged: the stack exports no trustDomain, and the rule's "
                    "parameter trustDomain is empty"
                )
            yield about(certificate, problem)


def trust_domain_of(uri: str) -> str | None:
    """Return the trust domain of a SPIFFE ID, as it is written; None of any other URI."""
    scheme, separator, rest = uri.partition("://")
    return rest.partition("/")[0] if separator and scheme.lower() == "spiffe" else None


def _foreign_authorities(resources: list[Resource]) -> Iterator[Finding]:
    """Find issuers that sign with no CA at all, or with one that no bundle's root has signed."""
    roots = {
        certificate
        for r in resources
        if r.type in (CONFIG_MAP, BUNDLE) and not is_stage_record(r)
        for _, certificate in certificates_in(r)
    }
    for issuer in (r for r in resources if r.type in (ISSUER, CLUSTER_ISSUER)):
        for kind in _FOREIGN_KINDS:
            if issuer.at("spec", kind) not in (None, UNKNOWN):
                yield about(issuer, f"it is a {kind} issuer, whose leaves no trust bundle verifies")
        for chain in _chains(issuer, resources):
            # Without a known root nothing can be said, as in the preview of a new stack.
            if chain and roots and not signing_anchors(chain, roots):
                yield about(
                    issuer,
                    f"its CA {chain[0].subject.rfc4514_string()} was signed by none of the roots "
                    "in the cluster's trust bundles",
                )


def _chains(issuer: Resource, resources: list[Resource]) -> Iterator[tuple[x509.Certificate, ...]]:
    name = issuer.text("spec", "ca", "secretName")
    for secret in resources:
        if secret.type != SECRET or name is None or secret.text("metadata", "name") != name:
            continue
        # A ClusterIssuer's Secret stands in a namespace that is a flag of cert-manager.
        if issuer.type == CLUSTER_ISSUER or secret.namespace == issuer.namespace:
            yield ca_chain(secret)


Identity = tuple[str, str, str | None, str]
"""Of an issuer: API group, kind, namespace (None where it has none), name."""


def _identity(resource: Resource) -> Identity | None:
    """The resource as an issuer that a Certificate may name; None where a part is not known."""
    version, kind = resource.text("apiVersion"), resource.text("kind")
    name = resource.text("metadata", "name")
    if version is None or kind is None or name is None or "/" not in version:
        return None
    return version.partition("/")[0], kind, resource.namespace, name


def _wanted(certificate: Resource) -> Identity | None:
    reference = certificate.at("spec", "issuerRef")
    if reference is UNKNOWN or certificate.at("metadata", "namespace") is UNKNOWN:
        return None
    name = certificate.at("spec", "issuerRef", "name")
    kind = certificate.at("spec", "issuerRef", "kind") or "Issuer"
    group = certificate.at("spec", "issuerRef", "group") or _CERT_MANAGER
    if UNKNOWN in (name, kind, group):
        return None
    cluster_wide = str(kind).endswith("ClusterIssuer")
    namespace = None if cluster_wide else certificate.namespace
    return str(group), str(kind), namespace, str(name)


def _name(identity: Identity) -> str:
    return "/".join(part for part in identity[1:] if part)
