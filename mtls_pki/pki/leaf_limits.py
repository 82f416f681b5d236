"""What an issuing CA may sign, for all backends, each of which has its own words for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mtls_pki.pki.key_algorithms import KeyAlgorithm


@dataclass(frozen=True, kw_only=True)
class LeafLimits:
    """The leaves that one authority may sign for a stack.

    Attributes:
        allowed_domains: a leaf may have these names, and names below them.
        wildcards: whether a leaf may have a wildcard name.
        ip_addresses: whether a leaf may have IP addresses, whichever they are.
        uris: patterns of the URI names that a leaf may have; an asterisk means any text.
        key_algorithms: of the leaves' keys.
        usages: the extended key usages of every leaf, as cert-manager spells them.
        key_encipherment: whether leaves get that key usage, for RSA key transport; never where
            some have another kind of key, which must not have it (RFC 8813 3).
        max_lifetime: of the longest leaf.
    """

    allowed_domains: tuple[str, ...]
    wildcards: bool
    ip_addresses: bool
    uris: tuple[str, ...]
    key_algorithms: frozenset[KeyAlgorithm]
    usages: tuple[str, ...]
    key_encipherment: bool
    max_lifetime: timedelta
