"""A trust domain of one service that keeps every rule, but for the one that $BREAK names.

It is previewed and never applied: its cluster and its Vault do not exist.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pulumi
from pulumi import ResourceOptions

NAMESPACE = "shop"
# Made by the test: PEM of a root, an issuing CA, another root of the same name, and a key.
PEM: dict[str, str] = json.loads(Path("material.json").read_text(encoding="utf-8"))
BROKEN = os.environ["BREAK"]


def broken(rule: str, wrong: Any, right: Any) -> Any:
    """Return ``wrong`` if it is this rule's turn, else ``right``."""
    return wrong if rule == BROKEN else right


class Component(pulumi.ComponentResource):
    """A component of this project's type, for the rules that look at what belongs together."""

    def __init__(self, kind: str, name: str, **outputs: Any) -> None:
        super().__init__(f"mtls-pki:index:{kind}", name)
        self.register_outputs(outputs)


def declare(
    type_: str,
    name: str,
    properties: dict[str, Any],
    provider: pulumi.ProviderResource,
    **options: Any,
) -> None:
    """Declare any resource without its provider's SDK, whose import takes longer than the rest."""
    pulumi.CustomResource(type_, name, properties, ResourceOptions(provider=provider, **options))


def declare_anchors() -> None:
    """One generation whose key is made here, and a second one."""
    root = Component("TrustAnchor", "g1", certificatePem=PEM["root"], fingerprint="1" * 64)
    declare(
        "tls:index/privateKey:PrivateKey",
        "g1-key",
        {"algorithm": "ECDSA", "ecdsaCurve": broken("key-algorithm", "P224", "P256")},
        pulumi.ProviderResource("tls", "tls"),
        parent=root,
        protect=broken("anchor-protected", None, True),
    )
    Component(
        "TrustAnchor",
        "g2",
        certificatePem=PEM[broken("generation-names", "namesake", "other")],
        fingerprint="2" * 64,
    )


def declare_object(
    kind: str,
    name: str,
    body: dict[str, Any],
    cluster: pulumi.ProviderResource,
    parent: pulumi.Resource | None = None,
) -> None:
    """Declare an object of ``kind``: ``v1/ConfigMap``, ``cert-manager.io/v1/Issuer``, ..."""
    version, _, short = kind.rpartition("/")
    token = f"core/{version}" if "/" not in version else version
    metadata = {"name": name, "namespace": NAMESPACE}
    properties = {"apiVersion": version, "kind": short, "metadata": metadata, **body}
    resource_name = f"{short}-{name}".lower()
    declare(f"kubernetes:{token}:{short}", resource_name, properties, cluster, parent=parent)


def declare_trust(cluster: pulumi.ProviderResource) -> None:
    """The bundle of the namespace, and a ConfigMap that has nothing to do with trust."""
    component = Component("TrustBundle", "mesh-trust")
    pem = PEM["root"] + broken("bundle-roots-only", PEM["issuing"], "")
    bundle = {"data": {"ca.crt": broken("bundle-not-empty", "", pem)}}
    if BROKEN != "bundle-everywhere":
        declare_object("v1/ConfigMap", "mesh-trust", bundle, cluster, component)
    notes = {"data": {"text": broken("private-key-in-clear", PEM["key"], "none")}}
    declare_object("v1/ConfigMap", "notes", notes, cluster)


def declare_issuing(cluster: pulumi.ProviderResource) -> None:
    """CA Secret, issuer and one leaf."""
    pair = {"tls.crt": PEM["issuing"], "tls.key": pulumi.Output.secret(PEM["key"])}
    declare_object("v1/Secret", "mesh-ca", {"stringData": pair}, cluster)
    issuer = {"spec": {"ca": {"secretName": "mesh-ca"}}}
    declare_object("cert-manager.io/v1/Issuer", "mesh-ca", issuer, cluster)
    domain = broken("identity-of-domain", "example.com", "example.org")
    spec = {
        "secretName": "web-tls",
        "issuerRef": {"name": broken("issuer-of-domain", "other-ca", "mesh-ca")},
        "duration": broken("leaf-lifetime", "720h", "24h"),
        "isCA": broken("leaf-is-no-ca", True, False),
        "usages": ["digital signature", "server auth", broken("leaf-usages", "any", "client auth")],
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "dnsNames": [broken("leaf-names", "*.shop.svc", "web.shop.svc")],
        "uris": [f"spiffe://{domain}/ns/shop/sa/web"],
    }
    declare_object("cert-manager.io/v1/Certificate", "web", {"spec": spec}, cluster)
    if BROKEN == "patch":
        # As pulumi_kubernetes.apiextensions.CustomResourcePatch declares it.
        wish = {"spec": {"isCA": True}}
        declare_object("cert-manager.io/v1/CertificatePatch", "web", wish, cluster)


def declare_vault() -> None:
    """A Vault that signs for the domain too."""
    scheme = broken("vault-over-tls", "http", "https")
    provider = pulumi.ProviderResource(
        "vault", "vault", {"address": f"{scheme}://vault.example.org", "token": "unused"}
    )
    declare(
        "vault:index/mount:Mount",
        "pki",
        {"path": "pki", "type": "pki"},
        provider,
        protect=broken("pki-mount-protected", None, True),
    )
    declare(
        "vault:pkiSecret/secretBackendRole:SecretBackendRole",
        "mesh",
        {
            "backend": "pki",
            "name": "mesh",
            "allowedDomains": ["shop.svc"],
            "allowAnyName": broken("vault-role", True, False),
            "allowWildcardCertificates": False,
            "keyType": "ec",
            "keyBits": 256,
            "maxTtl": "24h",
        },
        provider,
    )


def main() -> None:
    """Declare the stack."""
    # Nothing is asked of a cluster, nor of a kubeconfig, where objects become files.
    cluster = pulumi.ProviderResource("kubernetes", "dev", {"renderYamlToDirectory": "rendered"})
    declare_anchors()
    declare_trust(cluster)
    declare_issuing(cluster)
    declare_vault()
    pulumi.export("trustDomain", "example.org")
    pulumi.export("anchors", {"g1": {"role": "issuing"}, "g2": {"role": "incoming"}})
    pulumi.export("note", broken("private-key-in-outputs", PEM["key"], "none"))


main()
