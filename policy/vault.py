"""The rule on the way to Vault: what signs for a trust domain is spoken to over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

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
    if path and address and urlsplit(address).scheme != "https":
        shown = urlsplit(address)
        # Without user, password and query: an address may carry a credential.
        place = f"{shown.scheme}://{shown.hostname}" if shown.hostname else "no https URL"
        yield about(resource, f"{'.'.join(path)} is {place}, so tokens and CSRs go in clear text")
