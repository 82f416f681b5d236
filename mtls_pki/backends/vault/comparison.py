"""Whether a server holds what it was asked for.

OpenBao drops parameters that it does not know and says so only in a warning that the provider does
not show, so a restriction can be missing without an error (OpenBao ``sdk/framework/backend.go``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What restricts a sign role, in the engine's spelling and in the API's.
ROLE_FIELDS: Mapping[str, str] = {
    "issuerRef": "issuer_ref",
    "allowedDomains": "allowed_domains",
    "allowBareDomains": "allow_bare_domains",
    "allowSubdomains": "allow_subdomains",
    "allowGlobDomains": "allow_glob_domains",
    "allowAnyName": "allow_any_name",
    "allowLocalhost": "allow_localhost",
    "allowWildcardCertificates": "allow_wildcard_certificates",
    "allowIpSans": "allow_ip_sans",
    "allowedUriSans": "allowed_uri_sans",
    "enforceHostnames": "enforce_hostnames",
    "keyType": "key_type",
    "keyBits": "key_bits",
    "keyUsages": "key_usage",
    "serverFlag": "server_flag",
    "clientFlag": "client_flag",
    "codeSigningFlag": "code_signing_flag",
    "emailProtectionFlag": "email_protection_flag",
    "maxTtl": "max_ttl",
    "noStore": "no_store",
}
ISSUER_FIELDS: Mapping[str, str] = {
    "issuerName": "issuer_name",
    "leafNotAfterBehavior": "leaf_not_after_behavior",
    "usage": "usage",
    "manualChains": "manual_chain",
    "issuingCertificates": "issuing_certificates",
    "crlDistributionPoints": "crl_distribution_points",
}


def differences(
    asked: Mapping[str, Any], held: Mapping[str, Any], fields: Mapping[str, str]
) -> Iterator[str]:
    """Yield each parameter that the server holds otherwise than asked.

    Args:
        asked: inputs of a resource, in the engine's spelling.
        held: what the server answers when it is read.
        fields: the engine's spelling -> the API's, of what is compared.
    """
    for ours, theirs in fields.items():
        wanted = asked.get(ours)
        if wanted is None:
            continue
        if theirs not in held:
            yield f"{theirs}: asked for {_shown(wanted)}, and the server does not know it"
        elif _canonical(wanted) != _canonical(held[theirs]):
            yield f"{theirs}: asked for {_shown(wanted)}, held is {_shown(held[theirs])}"


def _canonical(value: Any) -> Any:
    """One form of what servers spell in several: sets as lists or texts, seconds as texts."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    if isinstance(value, list | tuple):
        return sorted(str(each) for each in value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float) else value


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
