"""Rules on leaves: how long they live, what they may be used for, and what names they carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy.model import UNKNOWN, Finding, Parameters, Resource, about
from policy.objects import CERTIFICATE, VAULT_ROLE, is_installed_chart, is_leaf
from rotation.durations import DurationError, parse_duration

# Of cert-manager, for a Certificate that does not say: v1 API, spec.duration and spec.usages.
_DEFAULT_DURATION = "2160h"
_DEFAULT_USAGES = ["digital signature", "key encipherment"]
_PURPOSES = {"server auth", "client auth"}
# Of a Vault role: the flag, and what it lets leaves be used for.
_ROLE_FLAGS = {"codeSigningFlag": "code signing", "emailProtectionFlag": "email protection"}
# Of a Vault role: the flag, and what it then signs.
_ROLE_NAME_FLAGS = {
    "allowAnyName": "any name for anybody who may use it",
    "allowGlobDomains": "every name that fits a pattern",
}

LIFETIME_PARAMETERS = {
    "maxDuration": {
        "type": "string",
        "pattern": r"^([0-9]+(\.[0-9]+)?(h|m|s))+$",
        "default": "24h",
        "description": "The longest life of a leaf, as a Go duration.",
    }
}
USAGE_PARAMETERS = {
    "allowed": {
        "type": "array",
        "items": {"type": "string"},
        "default": ["digital signature", "key encipherment", "server auth", "client auth"],
        "description": "Key usages and extended key usages, in cert-manager's words.",
    }
}


def _namespaces(what: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": f"Namespaces whose Certificates may {what}.",
    }


NAME_PARAMETERS = {
    "namespaces": _namespaces("have wildcard names"),
    "roles": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "Names of Vault roles that may sign wildcard names or any name.",
    },
}
CA_PARAMETERS = {"namespaces": _namespaces("be CAs")}


def long_lives(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find Certificates and Vault roles whose leaves live longer than allowed."""
    if is_leaf(resource):
        where, value = "spec.duration", resource.at("spec", "duration")
        unset = f"is not set, and cert-manager takes {_DEFAULT_DURATION}"
    elif resource.type == VAULT_ROLE:
        # A signer may ask for anything up to maxTtl; ttl is what it gets if it does not ask.
        where, value = "maxTtl", resource.at("maxTtl")
        unset = "is not set, and Vault takes the mount's or its own, 768h"
    else:
        return
    longest = parameters["maxDuration"]
    if value is UNKNOWN:
        return
    if value in (None, "", "0", 0):
        yield about(resource, f"{where} {unset}; allowed: {longest}")
        return
    text = f"{value}s" if str(value).isdecimal() else str(value)
    try:
        too_long = parse_duration(text) > parse_duration(longest)
    except DurationError as error:
        yield about(resource, f"{where} is {value!r}, which is no duration: {error}")
        return
    if too_long:
        yield about(resource, f"{where} is {value}, allowed: {longest}")


def foreign_usages(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find Certificates and Vault roles whose leaves may be used for more than mTLS."""
    if is_leaf(resource):
        yield from _usages_of_certificate(resource, parameters["allowed"])
    elif resource.type == VAULT_ROLE:
        for flag, usage in _ROLE_FLAGS.items():
            if resource.at(flag) is True and usage not in parameters["allowed"]:
                yield about(resource, f"{flag} lets its leaves be used for {usage}")
        if resource.at("serverFlag") is False and resource.at("clientFlag") is False:
            yield about(resource, "serverFlag and clientFlag are false: its leaves have no purpose")


def _usages_of_certificate(resource: Resource, allowed: list[str]) -> Iterator[Finding]:
    value = resource.at("spec", "usages")
    if value is UNKNOWN or (isinstance(value, list) and UNKNOWN in value):
        return
    usages = [str(usage) for usage in value] if isinstance(value, list) else _DEFAULT_USAGES
    foreign = [usage for usage in usages if usage not in allowed]
    if foreign:
        yield about(
            resource, f"spec.usages has {', '.join(foreign)}; allowed: {', '.join(allowed)}"
        )
    if not _PURPOSES & set(usages):
        yield about(
            resource,
            "spec.usages has neither server auth nor client auth, and a certificate without a "
            "purpose is good for every purpose (RFC 5280 4.2.1.12)",
        )


def loose_names(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find wildcard names in Certificates, and Vault roles that do not bind names."""
    if resource.type == CERTIFICATE and not is_installed_chart(resource):
        if resource.namespace in parameters["namespaces"]:
            return
        common_name = resource.text("spec", "commonName")
        names = (*resource.texts("spec", "dnsNames"), *([common_name] if common_name else ()))
        for name in dict.fromkeys(names):
            if name.startswith("*"):
                yield about(resource, f"the name {name} is a wildcard")
    elif resource.type == VAULT_ROLE and resource.at("name") not in parameters["roles"]:
        for flag, meaning in _ROLE_NAME_FLAGS.items():
            if resource.at(flag) is True:
                yield about(resource, f"{flag} is true, so it signs {meaning}")
        # The provider's default is true.
        if resource.at("allowWildcardCertificates") in (None, True):
            yield about(resource, "allowWildcardCertificates is not false, so it signs wildcards")


def ca_leaves(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find Certificates that ask for a CA."""
    if (
        resource.type == CERTIFICATE
        and not is_installed_chart(resource)
        and resource.at("spec", "isCA") is True
        and resource.namespace not in parameters["namespaces"]
    ):
        yield about(resource, "spec.isCA is true, so whoever reads its Secret can issue")
