"""The rule on the way to Vault: what signs for a trust domain is spoken to over TLS."""

from __future__ import annotations

from collections.abc import Iterator

from policy.model import Finding, Parameters, Resource, about
from policy.objects import CLUSTER_ISSUER, ISSUER

# Type -> where the address of a Vault server stands.
_ADDRESSES = {
    "pulumi:providers:vault": ("address",),
    ISSUER: ("spec", "vault", "server"),
    CLUSTER_ISSUER: ("spec", "vault", "server"),
}


def plain_http(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find addresses of Vault that are not https, in its provider and in issuers."""
    path = _ADDRESSES.get(resource.type)
    address = resource.text(*path) if path else None
    if path and address and not address.lower().startswith("https://"):
        # The address itself is not shown, for it may carry a credential.
        yield about(resource, f"{'.'.join(path)} is no https URL, so tokens go in clear text")
