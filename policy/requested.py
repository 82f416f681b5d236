"""What a resource asks a signer for: a Certificate, or one of the kinds of request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from mtls_pki.pki.signer_names import GROUP, issuer_of_signer
from policy.model import UNKNOWN, Resource
from policy.objects import CERTIFICATE, is_installed_chart

CERTIFICATE_REQUEST = "kubernetes:cert-manager.io/v1:CertificateRequest"
SIGNING_REQUEST = "kubernetes:certificates.k8s.io/v1:CertificateSigningRequest"

# Annotations of a CertificateSigningRequest for cert-manager (pkg/util/pki/kube.go and
# pkg/apis/experimental/v1alpha1/types.go: the annotation wins over spec.expirationSeconds).
_DURATION = "experimental.cert-manager.io/request-duration"
_IS_CA = "experimental.cert-manager.io/request-is-ca"

Identity = tuple[str, str, str | None, str]
"""Of an issuer: API group, kind, namespace (None where it has none), name."""


@dataclass(frozen=True, kw_only=True)
class RequestedLeaf:
    """What is asked for; places are paths in the object.

    Attributes:
        duration: place and value; the value is None if it is not given, which is cert-manager's
            default.
        usages: place and value; the value is None if they are not given.
        ca: place, and whether a CA is asked for.
        names: common name and DNS names that are known.
        uris: URIs that are known.
        issuer: the issuer that must sign; None if it is not known.
        key: the key in a request; None for a Certificate, which has none.
    """

    duration: tuple[str, Any]
    usages: tuple[str, Any]
    ca: tuple[str, bool]
    names: tuple[str, ...]
    uris: tuple[str, ...]
    issuer: Identity | None
    key: Any = None


def requested_leaf(resource: Resource) -> RequestedLeaf | None:
    """Return what ``resource`` asks a signer of the domain for; None where it asks for nothing."""
    if is_installed_chart(resource):
        return None
    read = _FORMS.get(resource.object_type)
    return read(resource) if read else None


def _of_certificate(resource: Resource) -> RequestedLeaf:
    single = (resource.text("spec", key) for key in ("commonName", "literalSubject"))
    return RequestedLeaf(
        duration=("spec.duration", resource.at("spec", "duration")),
        usages=("spec.usages", resource.at("spec", "usages")),
        ca=("spec.isCA", resource.at("spec", "isCA") is True),
        names=(*resource.texts("spec", "dnsNames"), *filter(None, single)),
        uris=resource.texts("spec", "uris"),
        issuer=_referred(resource),
    )


def _of_request(resource: Resource) -> RequestedLeaf:
    request = _pkcs10(resource.text("spec", "request"))
    return RequestedLeaf(
        duration=("spec.duration", resource.at("spec", "duration")),
        usages=("spec.usages", resource.at("spec", "usages")),
        ca=("spec.isCA", resource.at("spec", "isCA") is True),
        names=_names(request),
        uris=_uris(request),
        issuer=_referred(resource),
        key=_key(request),
    )


def _of_signing_request(resource: Resource) -> RequestedLeaf | None:
    """Only requests to cert-manager count: Kubernetes' own signers sign nothing of the domain."""
    issuer = issuer_of_signer(resource.text("spec", "signerName") or "")
    if issuer is None:
        return None
    request = _pkcs10(resource.text("spec", "request"))
    annotations = resource.at("metadata", "annotations")
    given = annotations if isinstance(annotations, Mapping) else {}
    duration = (
        f"metadata.annotations[{_DURATION}]",
        resource.at("metadata", "annotations", _DURATION),
    )
    if duration[1] is None:
        seconds = resource.at("spec", "expirationSeconds")
        known = f"{seconds:.0f}s" if isinstance(seconds, int | float) else seconds
        duration = ("spec.expirationSeconds", known)
    return RequestedLeaf(
        duration=duration,
        usages=("spec.usages", resource.at("spec", "usages")),
        ca=(f"metadata.annotations[{_IS_CA}]", given.get(_IS_CA) == "true"),
        names=_names(request),
        uris=_uris(request),
        issuer=(GROUP, *issuer),
        key=_key(request),
    )


def _referred(resource: Resource) -> Identity | None:
    reference = resource.at("spec", "issuerRef")
    if UNKNOWN in (reference, resource.at("metadata", "namespace")):
        return None
    name = resource.at("spec", "issuerRef", "name")
    # A patch that does not change the reference names nobody.
    if resource.is_patch and name is None:
        return None
    kind = resource.at("spec", "issuerRef", "kind") or "Issuer"
    group = resource.at("spec", "issuerRef", "group") or GROUP
    if UNKNOWN in (name, kind, group):
        return None
    cluster_wide = str(kind).endswith("ClusterIssuer")
    return str(group), str(kind), None if cluster_wide else resource.namespace, str(name)


def _pkcs10(encoded: str | None) -> x509.CertificateSigningRequest | None:
    """Return the request in base64 of PEM; None where it is not known or cannot be read."""
    try:
        return x509.load_pem_x509_csr(base64.b64decode(encoded or ""))
    except ValueError:
        return None


def _key(request: x509.CertificateSigningRequest | None) -> Any:
    """Return the public key; None where there is none that can be read."""
    try:
        return request.public_key() if request else None
    except (ValueError, UnsupportedAlgorithm):
        return None


def _names(request: x509.CertificateSigningRequest | None) -> tuple[str, ...]:
    if request is None:
        return ()
    try:
        common = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        common = []
    return (*(str(each.value) for each in common), *_alternative(request, x509.DNSName))


def _uris(request: x509.CertificateSigningRequest | None) -> tuple[str, ...]:
    return () if request is None else _alternative(request, x509.UniformResourceIdentifier)


def _alternative(
    request: x509.CertificateSigningRequest,
    kind: type[x509.DNSName] | type[x509.UniformResourceIdentifier],
) -> tuple[str, ...]:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(names.get_values_for_type(kind))


_FORMS: dict[str, Callable[[Resource], RequestedLeaf | None]] = {
    CERTIFICATE: _of_certificate,
    CERTIFICATE_REQUEST: _of_request,
    SIGNING_REQUEST: _of_signing_request,
}
