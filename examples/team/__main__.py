"""A team's workload: a Certificate on the platform's stable issuer, and its Deployment."""

import pulumi
import pulumi_kubernetes as kubernetes

from mtls_pki.components.mtls_workload import Mounts, MtlsWorkload, MtlsWorkloadArgs

LEAF = "orders-tls"
"""The Secret that cert-manager writes."""

config = pulumi.Config()
namespace, domain = config.require("namespace"), config.require("trustDomain")
cluster = kubernetes.Provider(
    "cluster", kubeconfig=config.get("kubeconfig") or "", context=config.get("context") or None
)

certificate = kubernetes.apiextensions.CustomResource(
    "orders",
    api_version="cert-manager.io/v1",
    kind="Certificate",
    metadata=kubernetes.meta.v1.ObjectMetaArgs(
        name="orders",
        namespace=namespace,
        annotations={"pulumi.com/waitFor": "condition=Ready"},
    ),
    spec={
        "secretName": LEAF,
        "duration": "24h",
        "renewBefore": "8h",
        "dnsNames": [f"orders.{namespace}.svc.cluster.local"],
        "uris": [f"spiffe://{domain}/ns/{namespace}/sa/orders"],
        "usages": ["digital signature", "server auth", "client auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {
            "group": "cert-manager.io",
            "kind": "ClusterIssuer",
            "name": config.require("issuer"),
        },
    },
    opts=pulumi.ResourceOptions(provider=cluster),
)

labels = {"app": "orders"}
MtlsWorkload(
    "orders",
    MtlsWorkloadArgs(
        namespace=namespace,
        workload_name="orders",
        spec={
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "containers": [{"name": "orders", "image": "registry.example.org/orders:1"}],
                    **(config.get_object("pod") or {}),
                },
            },
        },
        mounts=Mounts(secret_name=LEAF, bundle_name=config.require("bundle"), environment=True),
    ),
    pulumi.ResourceOptions(provider=cluster, depends_on=[certificate]),
)
