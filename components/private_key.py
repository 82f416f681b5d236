"""A private key that the tls provider makes, and that the state keeps encrypted."""

from __future__ import annotations

import pulumi
import pulumi_tls as tls
from pulumi import Output

from mtls_pki.pki.key_algorithms import KEY_KINDS, KeyAlgorithm


def private_key(
    name: str,
    algorithm: KeyAlgorithm,
    parent: pulumi.Resource,
    provider: pulumi.ProviderResource | None = None,
) -> Output[str]:
    """Return the PEM (PKCS#8, secret) of the key ``NAME-key``, retained when it leaves the program.

    Args:
        name: of what has the key.
        algorithm: of the key.
        parent: the component that it belongs to.
        provider: makes it; None: that of the component.
    """
    return tls.PrivateKey(
        f"{name}-key",
        **KEY_KINDS[algorithm].tls,
        opts=pulumi.ResourceOptions(parent=parent, provider=provider, retain_on_delete=True),
    ).private_key_pem_pkcs8
