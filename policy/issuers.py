"""Rules on who may issue: issuers of this trust domain, for identities of this trust domain."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.pki.chain import signing_anchors
from policy.model import UNKNOWN, Finding, Parameters, Resource, Stack, about
from policy.objects import (
    CLUSTER_ISSUER,
    ISSUER,
    SECRET,
    VAULT_ROLE,
    ca_chain,
    domain_roots,
    is_installed_chart,
    states_certificate,
)
from policy.requested import Identity, requested_leaf

_SPIFFE = "spiffe://"
_NOBODY: Identity = ("", "", None, "")
# Kinds of cert-manager issuers whose leaves chain to no anchor of a trust domain.
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
        # A patch of somebody else's issuer does not make it an issuer of this stack.
        declared = {identity for r in resources if not r.is_patch and (identity := _identity(r))}
        for resource in resources:
            leaf = requested_leaf(resource)
            wanted = leaf.issuer if leaf else None
            if wanted is None or wanted in declared or _name(wanted) in parameters["issuers"]:
                continue
            yield about(
                resource,
                f"its issuer {_name(wanted)} ({wanted[0]}) is not declared in cluster {cluster} by "
                "this stack",
            )
        yield from _foreign_authorities(resources, parameters["issuers"])
        yield from _foreign_roles(stack, resources, parameters["issuers"])


def foreign_identities(stack: Stack, parameters: Parameters) -> Iterator[Finding]:
    """Find SPIFFE IDs of another trust domain, and such that are not the only URI of their leaf.

    A leaf with two is none that SPIFFE's verifiers take (X.509-SVID, section 2), and one of the two
    is a right of somebody else.
    """
    exported = stack.exports.text("trustDomain") if stack.exports else None
    domain = parameters["trustDomain"] or exported
    for resource in stack.resources:
        leaf = requested_leaf(resource)
        # In a role they are patterns, in which an asterisk means any text.
        patterns = resource.texts("allowedUriSans") if resource.type == VAULT_ROLE else ()
        for pattern in patterns:
            if "*" in pattern and _SPIFFE.startswith(pattern.partition("*")[0].lower()):
                yield about(resource, f"{pattern} lets it sign for any trust domain")
        if leaf and len(leaf.uris) > 1 and any(map(trust_domain_of, leaf.uris)):
            yield about(
                resource, f"{', '.join(leaf.uris)}: a SPIFFE ID is the only URI of its leaf"
            )
        for uri in leaf.uris if leaf else patterns:
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
            yield about(resource, problem)


def trust_domain_of(uri: str) -> str | None:
    """Return the trust domain of a SPIFFE ID, as it is written; None for any other URI."""
    scheme, separator, rest = uri.partition("://")
    return rest.partition("/")[0] if separator and scheme.lower() == "spiffe" else None


def _foreign_authorities(resources: list[Resource], known: list[str]) -> Iterator[Finding]:
    """Find issuers that sign with no CA at all, or with one that no bundle's root has signed."""
    roots = domain_roots(resources)
    for issuer in (r for r in resources if r.object_type in (ISSUER, CLUSTER_ISSUER)):
        for kind in _FOREIGN_KINDS:
            if issuer.at("spec", kind) not in (None, UNKNOWN):
                yield about(issuer, f"it is a {kind} issuer, whose leaves no trust bundle verifies")
        secrets = _ca_secrets(issuer, resources)
        if secrets == [] and _name(_identity(issuer) or _NOBODY) not in known:
            yield about(
                issuer,
                f"its CA Secret {issuer.text('spec', 'ca', 'secretName')} is not declared by this "
                "stack, so it is not known who signed it",
            )
        for chain in map(ca_chain, secrets or ()):
            # Without a known root nothing can be judged, as in the preview of a new stack.
            if chain and roots and not signing_anchors(chain, roots):
                yield about(
                    issuer,
                    f"its CA {chain[0].subject.rfc4514_string()} was signed by none of the roots "
                    "in the cluster's trust bundles",
                )


def _ca_secrets(issuer: Resource, resources: list[Resource]) -> list[Resource] | None:
    """Return the declared Secrets that may be the issuer's; None if its Secret is not known yet."""
    name = issuer.text("spec", "ca", "secretName")
    if name is None:
        return None
    return [
        secret
        for secret in resources
        if secret.object_type == SECRET
        and states_certificate(secret)
        and secret.at("metadata", "name") in (name, UNKNOWN)
        # The namespace of a ClusterIssuer's Secret is a flag of cert-manager.
        and (
            issuer.object_type == CLUSTER_ISSUER
            or secret.at("metadata", "namespace") in (issuer.namespace, UNKNOWN)
        )
    ]


def _foreign_roles(stack: Stack, resources: list[Resource], known: list[str]) -> Iterator[Finding]:
    """Find issuers that ask a Vault to sign by anything but a role of this stack."""
    roles = [(role.at("backend"), role.at("name")) for role in stack.of(VAULT_ROLE)]
    if any(UNKNOWN in role for role in roles):
        return
    for issuer in (r for r in resources if r.object_type in (ISSUER, CLUSTER_ISSUER)):
        path = issuer.text("spec", "vault", "path")
        if path is None or _name(_identity(issuer) or _NOBODY) in known:
            continue
        if not any(
            path.startswith(f"{backend}/") and path.endswith(f"/sign/{name}")
            for backend, name in roles
        ):
            yield about(
                issuer, f"it asks a Vault to sign at {path}, which is no role of this stack"
            )


def _identity(resource: Resource) -> Identity | None:
    """Return how a Certificate names this issuer; None if a part of that is not known."""
    version, kind = resource.text("apiVersion"), resource.text("kind")
    name = resource.text("metadata", "name")
    if version is None or kind is None or name is None or "/" not in version:
        return None
    return version.partition("/")[0], kind, resource.namespace, name


def _name(identity: Identity) -> str:
    return "/".join(part for part in identity[1:] if part)
