"""The ConfigMap that shows an istiod's certificates to whoever may read no Secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import ConfigMap
from mtls_pki.components.kubernetes_options import owned
from mtls_pki.pki.bundle import append_bundle


def istio_certificates(
    signer: Output[str], chain: Output[str], roots: Sequence[Input[str]]
) -> dict[str, Output[str]]:
    """Return the certificates under the names that istiod has for them.

    The names are those of its files (istio, security/pkg/pki/ca/ca.go).

    Args:
        signer: PEM of the CA that signs for workloads.
        chain: PEM of the same, then its parents up to the root.
        roots: PEM of every trusted generation.
    """
    return {
        "ca-cert.pem": signer,
        "cert-chain.pem": chain,
        "root-cert.pem": Output.all(*roots).apply(append_bundle),
    }


def shown_certificates(
    name: str,
    object_name: str,
    namespace: str,
    certificates: Mapping[str, Output[str]],
    options: pulumi.ResourceOptions,
) -> ConfigMap:
    """Declare the ConfigMap ``object_name``; ``name`` begins its name in the program."""
    return ConfigMap(
        f"{name}-{object_name}",
        metadata=ObjectMetaArgs(name=object_name, namespace=namespace, annotations=owned()),
        data=certificates,
        opts=options,
    )
