"""The rule on connections to Vault: a signer of the trust domain is reached over TLS."""

from __future__ import annotations

from collections.abc import Iterator

from policy.model import Finding, Parameters, Resource, about
from policy.objects import CLUSTER_ISSUER, ISSUER

_PROVIDER = "pulumi:providers:vault"
# Type -> path of the property with the address of a Vault server.
_ADDRESSES = {
    _PROVIDER: ("address",),
    ISSUER: ("spec", "vault", "server"),
    CLUSTER_ISSUER: ("spec", "vault", "server"),
}


def plain_http(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find a Vault that is reached without TLS, or by TLS that proves nothing."""
    path = _ADDRESSES.get(resource.object_type)
    address = resource.text(*path) if path else None
    if path and address and not address.lower().startswith("https://"):
        # The address itself is not shown, because it may hold a credential.
        yield about(resource, f"{'.'.join(path)} is no https URL, so tokens go in clear text")
    # A provider's inputs are texts, whatever their type.
    if resource.type == _PROVIDER and resource.at("skipTlsVerify") in (True, "true"):
        yield about(resource, "skipTlsVerify is true, so anybody can pretend to be the Vault")
