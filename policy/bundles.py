"""Rules on trust bundles: roots only, never empty, in every namespace that needs one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from cryptography import x509

from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.profile import is_ca
from mtls_pki.pki.signatures import is_self_signed
from policy.model import UNKNOWN, Finding, Parameters, Resource, Stack, about
from policy.objects import (
    BUNDLE,
    BUNDLES,
    CLUSTER_BUNDLE,
    CONFIG_MAP,
    GLOO_RELAY,
    ISTIO_AUTHORITY,
    ISTIO_CA_CERTS,
    ISTIO_REGISTRATION,
    RELAY_CHAINS,
    STEP_CA,
    STEP_CA_SIGNER,
    TRUST_BUNDLE,
    bundle_namespaces,
    certificates_in,
    domain_roots,
    is_installed_chart,
    is_leaf,
    is_stage_record,
    pem_texts,
)

_BLOCK = "-----BEGIN CERTIFICATE-----"
# Labels that OpenSSL also accepts for a certificate, and most other readers do not
# (PEM_STRING_X509_OLD and PEM_STRING_X509_TRUSTED in openssl/pem.h).
_OTHER_BLOCKS = ("-----BEGIN X509 CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----")

# Component -> where an object of it holds certificates that nobody trusts: chains, and who signs.
_NO_TRUST: Mapping[str, Collection[str]] = {
    STEP_CA: (STEP_CA_SIGNER,),
    ISTIO_CA_CERTS: ISTIO_AUTHORITY,
    ISTIO_REGISTRATION: ISTIO_AUTHORITY,
    GLOO_RELAY: RELAY_CHAINS,
}


def no_roots(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find certificates in ConfigMaps and Bundles that are not roots: somebody trusts them."""
    if resource.object_type not in (CONFIG_MAP, *BUNDLES) or is_installed_chart(resource):
        return
    for place, text in pem_texts(resource):
        if any(place in shown and resource.is_below(by) for by, shown in _NO_TRUST.items()):
            continue
        strange = [spelling for spelling in _OTHER_BLOCKS if spelling in text]
        if strange:
            yield about(resource, f"{place} has a block {strange[0]}, which not all verifiers read")
            continue
        if _BLOCK not in text:
            continue
        try:
            members = bundle_members(text, origin=place)
        except PkiError as error:
            yield about(resource, str(error))
            continue
        for member in members:
            if not is_ca(member) or not is_self_signed(member):
                subject = member.subject.rfc4514_string() or "a certificate without a subject"
                yield about(
                    resource,
                    f"{place} holds {subject}, issued by {member.issuer.rfc4514_string()}: it is "
                    "no root, and would stay trusted after its root is removed",
                )


def empty_bundle(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find trust bundles without a certificate."""
    if resource.object_type == CONFIG_MAP and resource.is_below(TRUST_BUNDLE):
        data = resource.at("data")
        if data is UNKNOWN:
            return
        values = data if isinstance(data, Mapping) else {}
        for key, value in values.items():
            if isinstance(value, str) and _BLOCK not in value:
                yield about(resource, f"data.{key} holds no certificate")
        if not (values or resource.at("binaryData") or resource.is_patch):
            yield about(resource, "it has no data")
    elif resource.object_type == BUNDLE:
        sources = resource.at("spec", "sources")
        if sources is UNKNOWN or (sources is None and resource.is_patch):
            return
        given = sources if isinstance(sources, list) else []
        if not any(_may_hold_a_certificate(source) for source in given):
            yield about(resource, "no source in spec.sources holds a certificate")
    elif resource.object_type == CLUSTER_BUNDLE and not resource.is_patch:
        inline = {"inLine": resource.at("spec", "inLineCAs")}
        others = [resource.at("spec", "sourceRefs"), _default_cas(resource)]
        if not _may_hold_a_certificate(inline) and not any(others):
            yield about(resource, "neither spec.inLineCAs nor another source holds a certificate")


def missing_bundles(stack: Stack, _parameters: Parameters) -> Iterator[Finding]:
    """Find namespaces that have Certificates and no trust bundle, cluster by cluster."""
    for cluster, objects in stack.clusters():
        wanted = {r.namespace: r for r in objects.resources if is_leaf(r) and r.namespace}
        roots = domain_roots(objects.resources)
        covered: set[str] = set()
        anywhere = False
        for bundle in objects.resources:
            if _is_bundle_of_a_namespace(bundle, roots):
                # A namespace that is not known yet may be any of them.
                anywhere |= bundle.namespace is None
                covered |= {bundle.namespace} if bundle.namespace else set()
            elif bundle.object_type in BUNDLES:
                named = bundle_namespaces(bundle)
                anywhere |= named is None
                covered |= named or set()
        if anywhere:
            continue
        for namespace in sorted(set(wanted) - covered):
            yield Finding(
                place=f"namespace {namespace} in {cluster}",
                problem=f"it has {wanted[namespace].label} and no trust bundle",
                urn=wanted[namespace].urn,
            )
    yield from _partial_bundles(stack)


def _partial_bundles(stack: Stack) -> Iterator[Finding]:
    """Find bundles of the domain that lack a root which another of them holds."""
    known = {
        bundle.urn: (bundle, {certificate for _, certificate in certificates_in(bundle)})
        for bundle in stack.resources
        if bundle.is_below(TRUST_BUNDLE)
    }
    # If the content is not known yet or cannot be read, nothing can be said about it.
    known = {urn: (bundle, roots) for urn, (bundle, roots) in known.items() if roots}
    every = set().union(*(roots for _, roots in known.values()))
    for bundle, roots in known.values():
        lacking = sorted(root.subject.rfc4514_string() for root in every - roots)
        if lacking:
            yield about(bundle, f"it lacks {', '.join(lacking)}, which other bundles hold")


def _is_bundle_of_a_namespace(resource: Resource, roots: set[x509.Certificate]) -> bool:
    """Tell whether with this object a namespace has the bundle, and not just any certificate."""
    if resource.object_type != CONFIG_MAP:
        return False
    if resource.is_below(TRUST_BUNDLE):
        return True
    held = {certificate for _, certificate in certificates_in(resource)}
    return not is_stage_record(resource) and bool(held) and roots <= held


def _default_cas(resource: Resource) -> bool:
    return resource.at("spec", "defaultCAs", "provider") not in (None, "Disabled")


def _may_hold_a_certificate(source: object) -> bool:
    """True also for a source that reads another object: only trust-manager can judge that one."""
    if not isinstance(source, Mapping):
        return source is UNKNOWN
    text = source.get("inLine")
    if text is None:
        return any(source.values())
    return text is UNKNOWN or (isinstance(text, str) and _BLOCK in text)
