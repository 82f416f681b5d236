"""Resources as rules see them, and what one rule says of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from policy.model import Finding, Resource, ResourceRule, Stack
from policy.rules import RULES

_BY_NAME = {rule.name: rule for rule in RULES}
ANCHOR = "mtls-pki:index:TrustAnchor"
KEY = "tls:index/privateKey:PrivateKey"
ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
DURATION = "experimental.cert-manager.io/request-duration"
IS_CA = "experimental.cert-manager.io/request-is-ca"
_STACK = "pulumi:pulumi:Stack"


def resource(
    type_: str,
    name: str,
    properties: Mapping[str, Any] | None = None,
    *,
    below: tuple[str, str] | None = None,
    provider: str | None = None,
    protect: bool = False,
) -> Resource:
    """A resource; ``below`` is type and name of the component that it belongs to."""
    types = f"{below[0]}${type_}" if below else type_
    return Resource(
        urn=f"urn:pulumi:dev::mtls-pki::{types}::{name}",
        type=type_,
        name=name,
        properties=properties or {},
        protect=protect,
        provider=provider,
        parent=f"urn:pulumi:dev::mtls-pki::{below[0]}::{below[1]}" if below else None,
    )


def kubernetes(
    kind: str,
    name: str,
    *,
    namespace: str | None = None,
    below: tuple[str, str] | None = None,
    cluster: str = "dev",
    **body: Any,
) -> Resource:
    """A Kubernetes object: ``kind`` is ``v1/ConfigMap`` or ``cert-manager.io/v1/Issuer``."""
    version, _, short = kind.rpartition("/")
    token = f"core/{version}" if "/" not in version else version
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    properties = {"apiVersion": version, "kind": short, "metadata": metadata, **body}
    return resource(
        f"kubernetes:{token}:{short}",
        "-".join(part for part in (cluster, name, namespace) if part),
        properties,
        below=below,
        provider=cluster,
    )


def certificate(name: str = "web", namespace: str = "shop", **spec: Any) -> Resource:
    """A Certificate that no rule finds fault with, with ``spec`` laid over it; None takes away."""
    good = {
        "secretName": f"{name}-tls",
        "issuerRef": {"name": "ca", "kind": "Issuer"},
        "duration": "24h0m0s",
        "privateKey": {"algorithm": "ECDSA", "size": 256.0},
        "usages": ["digital signature", "server auth", "client auth"],
        "dnsNames": [f"{name}.{namespace}.svc"],
        "uris": [f"spiffe://example.org/ns/{namespace}/sa/{name}"],
    }
    whole = {key: value for key, value in (good | spec).items() if value is not None}
    return kubernetes("cert-manager.io/v1/Certificate", name, namespace=namespace, spec=whole)


def config_map(name: str, namespace: str = "shop", **body: Any) -> Resource:
    return kubernetes("v1/ConfigMap", name, namespace=namespace, **body)


def bundle(pem: Any, namespace: str = "shop", cluster: str = "dev") -> Resource:
    """One namespace's part of the trust bundle, as this project's component makes it."""
    return kubernetes(
        "v1/ConfigMap",
        "mesh-trust",
        namespace=namespace,
        cluster=cluster,
        below=("mtls-pki:index:TrustBundle", "mesh-trust"),
        data={"ca.crt": pem},
    )


def role(**settings: Any) -> Resource:
    """A Vault role that no rule finds fault with, with ``settings`` laid over it."""
    good = {
        "name": "mesh",
        "allowWildcardCertificates": False,
        "keyType": "ec",
        "keyBits": 256.0,
        "maxTtl": "24h",
        "serverFlag": True,
        "clientFlag": True,
    }
    return resource(ROLE, "role", good | settings, provider="vault")


def pkcs10(curve: ec.EllipticCurve | None = None, *names: str) -> str:
    """A request for these names (URIs have a colon), as objects of Kubernetes hold it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    alternatives = [
        x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)
        for name in names or ("web.shop.svc",)
    ]
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(ec.generate_private_key(curve or ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def request(encoded: Any = None, **spec: Any) -> Resource:
    """A CertificateRequest that no rule finds fault with, with ``spec`` laid over it."""
    good = {
        "request": pkcs10() if encoded is None else encoded,
        "issuerRef": {"name": "ca"},
        "duration": "24h",
        "usages": ["digital signature", "server auth"],
    }
    whole = {key: value for key, value in (good | spec).items() if value is not None}
    kind = "cert-manager.io/v1/CertificateRequest"
    return kubernetes(kind, "web", namespace="shop", spec=whole)


def signing_request(
    encoded: Any = None, annotations: dict[str, Any] | None = None, **spec: Any
) -> Resource:
    """A CertificateSigningRequest for cert-manager that no rule finds fault with, likewise."""
    good = {
        "request": pkcs10() if encoded is None else encoded,
        "signerName": "issuers.cert-manager.io/shop.ca",
        "expirationSeconds": 86_400.0,
        "usages": ["digital signature", "client auth"],
    }
    whole = {key: value for key, value in (good | spec).items() if value is not None}
    metadata = {"name": "web", "annotations": annotations or {}}
    kind = "certificates.k8s.io/v1/CertificateSigningRequest"
    return kubernetes(kind, "web", spec=whole, metadata=metadata)


def patch(given: Resource) -> Resource:
    """The same as a server-side apply patch."""
    return replace(given, type=f"{given.type}Patch", urn=f"{given.urn}Patch")


def cluster_bundle(**spec: Any) -> Resource:
    return kubernetes("trust-manager.io/v1alpha2/ClusterBundle", "mesh-trust", spec=spec)


def exports(**values: Any) -> Resource:
    return resource(_STACK, "mtls-pki-dev", values)


def found(rule: str, *resources: Resource, **parameters: Any) -> list[Finding]:
    """What the rule of this name finds, with its parameters' defaults unless given."""
    judge = _BY_NAME[rule]
    chosen = {**judge.defaults, **parameters}
    if isinstance(judge, ResourceRule):
        return [finding for each in resources for finding in judge.find(each, chosen)]
    return list(judge.find(Stack(resources=resources), chosen))


def said(rule: str, *resources: Resource, **parameters: Any) -> str:
    """The one message of this rule; fails if there is none, or more than one."""
    (finding,) = found(rule, *resources, **parameters)
    return _BY_NAME[rule].message(finding)
