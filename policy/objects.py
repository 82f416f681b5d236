"""What the rules know about Kubernetes and Vault objects, and the certificates in these objects."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cryptography import x509

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.stage import STAGE_KEY
from policy.model import Resource

CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
ISSUER = "kubernetes:cert-manager.io/v1:Issuer"
CLUSTER_ISSUER = "kubernetes:cert-manager.io/v1:ClusterIssuer"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 a type token
BUNDLE = "kubernetes:trust.cert-manager.io/v1alpha1:Bundle"
CLUSTER_BUNDLE = "kubernetes:trust-manager.io/v1alpha2:ClusterBundle"
BUNDLES = frozenset({BUNDLE, CLUSTER_BUNDLE})
"""The two forms of trust-manager's object."""

VAULT_REQUEST = (
    "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest"
)
VAULT_ROOT = "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert"
VAULT_ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"

TRUST_BUNDLE = "mtls-pki:index:TrustBundle"
STEP_CA, STEP_CA_SIGNER = "mtls-pki:index:StepCa", "data.intermediate_ca.crt"
"""A step-ca of this project, and where it reads the certificate that it signs with: nobody trusts
what stands there, beside the roots that its clients shall trust.
"""

ISTIO_CA_CERTS = "mtls-pki:index:IstioCaCerts"
ISTIO_REGISTRATION = "mtls-pki:index:IstioRegistration"
ISTIO_AUTHORITY = frozenset({"data.ca-cert.pem", "data.cert-chain.pem"})
"""What istiod signs with, and where this project says so: not trusted there either."""

GLOO_RELAY = "mtls-pki:index:GlooRelay"
RELAY_CHAINS = frozenset(
    {"data.server.crt", "data.client.crt", "data.telemetry.crt", "data.mesh-cas.crt"}
)
"""What the relay of Gloo Mesh presents, and the CAs that it signs with, shown beside the roots."""

_CERT_MANAGER = "mtls-pki:index:CertManager"
_BLOCK = "-----BEGIN CERTIFICATE-----"
_NAME_LABEL = "kubernetes.io/metadata.name"


def is_installed_chart(resource: Resource) -> bool:
    """Tell whether the resource comes from cert-manager's or trust-manager's chart.

    Their certificates secure their own webhooks, outside of any trust domain.
    """
    return resource.is_below(_CERT_MANAGER)


def is_stage_record(resource: Resource) -> bool:
    """Tell whether the ConfigMap records roles and every known root, trusted or not."""
    return resource.at("data", STAGE_KEY) is not None


def is_leaf(resource: Resource) -> bool:
    """Tell whether the resource asks for a workload's certificate."""
    return (
        resource.object_type == CERTIFICATE
        and not is_installed_chart(resource)
        and resource.at("spec", "isCA") is not True
    )


def pem_texts(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of everything in the object that may be PEM certificates."""
    if resource.object_type == CONFIG_MAP:
        yield from _texts("data", resource.at("data"))
        yield from _decoded("binaryData", resource.at("binaryData"))
    elif resource.object_type == SECRET:
        # The private key in the same Secret is left out: rules on certificates must not read it.
        for key in ("tls.crt", "ca.crt"):
            text = _secret_text(resource, key)
            if text is not None:
                yield key, text
    elif resource.object_type == BUNDLE:
        sources = resource.at("spec", "sources")
        for index, source in enumerate(sources if isinstance(sources, list) else ()):
            if isinstance(source, Mapping) and isinstance(source.get("inLine"), str):
                yield f"spec.sources[{index}].inLine", source["inLine"]
    elif resource.object_type == CLUSTER_BUNDLE:
        text = resource.text("spec", "inLineCAs")
        if text is not None:
            yield "spec.inLineCAs", text


def certificates_in(resource: Resource) -> Iterator[tuple[str, x509.Certificate]]:
    """Yield the place and the certificate, for every one that can be read."""
    for place, text in pem_texts(resource):
        if _BLOCK in text:
            try:
                for certificate in parse_certificates(text, origin=place):
                    yield place, certificate
            except PkiError:
                # bundle-roots-only reports text that cannot be read; no other rule can judge it.
                continue


def ca_chain(secret: Resource) -> tuple[x509.Certificate, ...]:
    """Return the certificates in ``tls.crt`` of a Secret; none if they are not known."""
    return tuple(c for place, c in certificates_in(secret) if place == "tls.crt")


def states_certificate(secret: Resource) -> bool:
    """Tell whether the declared Secret has its ``tls.crt``; else somebody else will write it."""
    return any(secret.at(field, "tls.crt") is not None for field in ("stringData", "data"))


def domain_roots(resources: Iterable[Resource]) -> set[x509.Certificate]:
    """Return what a cluster's trust bundles hold, as far as it is known.

    If this project's components or trust-manager's objects say which ConfigMaps are bundles, other
    ConfigMaps that hold certificates do not count.
    """
    held = [r for r in resources if r.object_type in (CONFIG_MAP, *BUNDLES)]
    named = [r for r in held if r.is_below(TRUST_BUNDLE) or r.object_type in BUNDLES]
    return {
        certificate
        for r in named or held
        if not is_stage_record(r)
        for _, certificate in certificates_in(r)
    }


def bundle_namespaces(resource: Resource) -> frozenset[str] | None:
    """Return the namespaces that a Bundle's selector names; None if it may select any."""
    selector = resource.at("spec", "target", "namespaceSelector")
    if not isinstance(selector, Mapping):
        return None
    named: set[str] = set()
    labels, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    name = labels.get(_NAME_LABEL) if isinstance(labels, Mapping) else None
    if isinstance(name, str):
        named.add(name)
    for expression in expressions if isinstance(expressions, list) else ():
        if not isinstance(expression, Mapping) or expression.get("key") != _NAME_LABEL:
            continue
        values = expression.get("values")
        if expression.get("operator") == "In" and isinstance(values, list):
            named |= {v for v in values if isinstance(v, str)}
    return frozenset(named) or None


def _secret_text(resource: Resource, key: str) -> str | None:
    # Inputs have stringData, live objects data.
    text = resource.text("stringData", key)
    if text is not None:
        return text
    encoded = resource.text("data", key)
    return None if encoded is None else _from_base64(encoded)


def _texts(path: str, values: Any) -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            if isinstance(value, str):
                yield f"{path}.{key}", value


def _decoded(path: str, values: Any) -> Iterator[tuple[str, str]]:
    for place, encoded in _texts(path, values):
        text = _from_base64(encoded)
        if text is not None:
            yield place, text


def _from_base64(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded).decode("ascii", errors="replace")
    except ValueError:
        return None
