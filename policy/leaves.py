"""Rules on leaves: how long they live, what they may be used for, and what names they carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mtls_pki.rotation.durations import DurationError, parse_duration
from policy.model import UNKNOWN, Finding, Parameters, Resource, about
from policy.objects import VAULT_ROLE
from policy.requested import requested_leaf

# cert-manager's defaults: v1 API, spec.duration and spec.usages.
_DEFAULT_DURATION = "2160h"
_DEFAULT_USAGES = ["digital signature", "key encipherment"]
_PURPOSES = {"server auth", "client auth"}
# Flag of a Vault role -> what it lets leaves be used for.
_ROLE_FLAGS = {"codeSigningFlag": "code signing", "emailProtectionFlag": "email protection"}
# Flag of a Vault role -> what the role then signs.
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
    leaf = requested_leaf(resource)
    if leaf is not None and not leaf.ca[1]:
        where, value = leaf.duration
        unset = f"is not set, and cert-manager takes {_DEFAULT_DURATION}"
    elif resource.object_type == VAULT_ROLE:
        # A request may ask for up to maxTtl; ttl counts if it does not ask.
        where, value = "maxTtl", resource.at("maxTtl")
        unset = "is not set, and Vault takes the mount's or its own, 768h"
    else:
        return
    longest = parameters["maxDuration"]
    if value is UNKNOWN or (value is None and resource.is_patch):
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
    leaf = requested_leaf(resource)
    if leaf is not None and not leaf.ca[1]:
        yield from _usages_of_leaf(resource, *leaf.usages, allowed=parameters["allowed"])
    elif resource.object_type == VAULT_ROLE:
        for flag, usage in _ROLE_FLAGS.items():
            if resource.at(flag) is True and usage not in parameters["allowed"]:
                yield about(resource, f"{flag} lets its leaves be used for {usage}")
        for place in ("keyUsages", "extKeyUsages"):
            foreign = [
                usage
                for usage in resource.texts(place)
                if not _allows(usage, parameters["allowed"])
            ]
            if foreign:
                yield about(resource, f"{place} has {', '.join(foreign)}")
        if resource.texts("extKeyUsageOids"):
            yield about(resource, "extKeyUsageOids gives its leaves more purposes than those")
        if resource.at("serverFlag") is False and resource.at("clientFlag") is False:
            yield about(resource, "serverFlag and clientFlag are false: its leaves have no purpose")


def _allows(usage: str, allowed: list[str]) -> bool:
    """Tell whether a usage in Vault's words (``ExtKeyUsageAny``) is allowed."""
    word = usage.lower().removeprefix("ext").removeprefix("keyusage")
    return word in {each.replace(" ", "") for each in allowed}


def _usages_of_leaf(
    resource: Resource, place: str, value: Any, *, allowed: list[str]
) -> Iterator[Finding]:
    if value is UNKNOWN or (isinstance(value, list) and UNKNOWN in value):
        return
    if value is None and resource.is_patch:
        return
    usages = [str(usage) for usage in value] if isinstance(value, list) else _DEFAULT_USAGES
    foreign = [usage for usage in usages if usage not in allowed]
    if foreign:
        yield about(resource, f"{place} has {', '.join(foreign)}; allowed: {', '.join(allowed)}")
    if not _PURPOSES & set(usages):
        yield about(
            resource,
            f"{place} has neither server auth nor client auth, and a certificate without a "
            "purpose is good for every purpose (RFC 5280 4.2.1.12)",
        )


def loose_names(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find wildcard names in Certificates, and Vault roles that do not bind names."""
    leaf = requested_leaf(resource)
    if leaf is not None:
        if resource.namespace in parameters["namespaces"]:
            return
        for name in dict.fromkeys(leaf.names):
            if "*" in name:
                yield about(resource, f"the name {name} is a wildcard")
    elif resource.object_type == VAULT_ROLE and resource.at("name") not in parameters["roles"]:
        for flag, meaning in _ROLE_NAME_FLAGS.items():
            if resource.at(flag) is True:
                yield about(resource, f"{flag} is true, so it signs {meaning}")
        # The provider's default is true.
        if resource.at("allowWildcardCertificates") in (None, True):
            yield about(resource, "allowWildcardCertificates is not false, so it signs wildcards")


def ca_leaves(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find Certificates that ask for a CA."""
    leaf = requested_leaf(resource)
    if leaf is not None and leaf.ca[1] and resource.namespace not in parameters["namespaces"]:
        yield about(resource, f"{leaf.ca[0]} is true, so everybody who has its key can issue")
