"""Live objects as the API server shows them, as far as evidence looks at them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from tests.unit.pki import material
from tests.unit.pki.material import ONE_DAY, key, key_pem, parsed

CERTIFICATES = "/apis/cert-manager.io/v1/certificates"
REQUESTS = "/apis/cert-manager.io/v1/certificaterequests"
ISSUERS = "/apis/cert-manager.io/v1/issuers"
CLUSTER_ISSUERS = "/apis/cert-manager.io/v1/clusterissuers"
SIGNING_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CONFIG_MAPS = "/api/v1/configmaps"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
SECRETS = "/api/v1/secrets"
STAGES = "/api/v1/namespaces/cert-manager/configmaps"
STAGE = f"{STAGES}/mesh-trust-stage"

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HTTP_NOW = "Mon, 23 Nov 2026 12:00:00 GMT"
OUR_ISSUER = {"kind": "ClusterIssuer", "name": "mtls-ca-g1-i1"}


@cache
def root(generation: str) -> str:
    return material.root(generation)


@cache
def issuing(generation: str) -> str:
    """Return the issuing CA below a generation, under a key of its own."""
    return material.issuing(
        f"issuing-{generation}", root_pem=root(generation), root_key=key_pem(generation)
    )


@cache
def chain(generation: str, validity: Validity = ONE_DAY) -> str:
    """Return a leaf below the issuing CA of a generation, and that CA."""
    leaf = material.leaf(issuing(generation), key(f"issuing-{generation}"), validity=validity)
    return leaf + issuing(generation)


def fingerprint(generation: str) -> str:
    return spki_sha256(parsed(root(generation)))


def owned(time: str, *path: str, manager: str = "someone") -> dict[str, Any]:
    """Return an entry of managedFields of a manager that owns the field at ``path``."""
    fields: dict[str, Any] = {}
    for step in reversed(path):
        fields = {step: fields}
    return {"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields}


def config_map(
    namespace: str,
    data: Mapping[str, str],
    *,
    name: str = "mesh-trust",
    labels: Mapping[str, str] | None = None,
    managed: tuple[Mapping[str, Any], ...] = (),
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": dict(labels or {}),
        "managedFields": list(managed),
    }
    return {"metadata": metadata, "data": dict(data)}


def bundle(namespace: str, *generations: str, **more: Any) -> dict[str, Any]:
    return config_map(namespace, {"ca.crt": "".join(map(root, generations))}, **more)


def certificate(
    name: str = "web",
    namespace: str = "app",
    *,
    revision: int | None = 1,
    issuer: Mapping[str, str] = OUR_ISSUER,
    uid: str | None = None,
    managed: tuple[Mapping[str, Any], ...] = (),
    generation: int = 1,
    created: str = "2026-11-01T00:00:00Z",
    spec: Mapping[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """Return a Certificate whose spec is as it was created, and whose Secret is ``NAME-tls``."""
    status = {"notAfter": "2026-11-24T11:00:00Z", "revision": revision, **status}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"{namespace}/{name}",
            "generation": generation,
            "creationTimestamp": created,
            "managedFields": list(managed),
        },
        "spec": {"issuerRef": dict(issuer), "secretName": f"{name}-tls", **(spec or {})},
        "status": {name: value for name, value in status.items() if value is not None},
    }


def request(
    pem: str | None,
    *,
    name: str = "web-1",
    namespace: str = "app",
    certificate: str | None = "web",
    revision: int = 1,
    uid: str | None = None,
    issuer: Mapping[str, str] = OUR_ISSUER,
    ca: str | None = None,
    is_ca: bool = False,
    managed: tuple[Mapping[str, Any], ...] = (),
    owner: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a CertificateRequest: of a Certificate, or of nobody's (``certificate=None``)."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "managedFields": list(managed),
    }
    if certificate is not None:
        metadata["annotations"] = {
            "cert-manager.io/certificate-name": certificate,
            "cert-manager.io/certificate-revision": str(revision),
        }
        owner = {"kind": "Certificate", "uid": uid or f"{namespace}/{certificate}"}
    if owner is not None:
        metadata["ownerReferences"] = [dict(owner)]
    status = {"certificate": _encoded(pem), "ca": _encoded(ca)}
    return {
        "metadata": metadata,
        "spec": {"issuerRef": dict(issuer), "isCA": is_ca},
        "status": {field: value for field, value in status.items() if value},
    }


def secret(
    name: str = "web-tls",
    namespace: str = "app",
    *,
    certificate: str = "web",
    issuer: Mapping[str, str] = OUR_ISSUER,
    created: str = "2026-11-01T00:00:00Z",
    written: str = "2026-11-23T11:00:00Z",
) -> dict[str, Any]:
    """Return a Secret that cert-manager wrote; its key must not reach anybody who lists it."""
    annotations = {f"cert-manager.io/issuer-{field}": text for field, text in issuer.items()}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"controller.cert-manager.io/fao": "true"},
            "annotations": {"cert-manager.io/certificate-name": certificate, **annotations},
            "creationTimestamp": created,
            "managedFields": [owned(written, "f:data", "f:tls.crt")],
        },
        "data": {"tls.crt": "", "tls.key": "a private key"},
    }


def record(**roles: str) -> dict[str, Any]:
    """Return the gate's ConfigMap with these generations in these roles."""
    anchors = {
        generation: Anchor(role=Role(role), fingerprint=fingerprint(generation))
        for generation, role in roles.items()
    }
    data = {f"{generation}.pem": root(generation) for generation in roles}
    return config_map(
        "cert-manager",
        {"stage.json": TrustStage(anchors=anchors).to_json(), **data},
        name="mesh-trust-stage",
        managed=(owned("2026-11-20T12:00:00Z", "f:data", "f:stage.json"),),
    )


def signing_request(pem: str | None, signer: str, *, name: str = "csr-1") -> dict[str, Any]:
    status = {"certificate": _encoded(pem)} if pem else {}
    return {"metadata": {"name": name}, "spec": {"signerName": signer}, "status": status}


def issuer(
    name: str, namespace: str | None = None, *, ready: str | None = "True", **spec: Any
) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    condition = {"type": "Ready", "status": ready, "reason": "KeyPairVerified", "message": "text"}
    return {
        "metadata": metadata,
        "spec": spec or {"ca": {"secretName": name}},
        "status": {"conditions": [condition]} if ready else {},
    }


def _encoded(pem: str | None) -> str | None:
    return base64.b64encode(pem.encode()).decode() if pem else None
