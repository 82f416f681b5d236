"""Names that go into certificates, checked before they do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_pki.pki.errors import PkiError

# ub-common-name (RFC 5280, appendix A.1). The RFC counts characters; cert-manager's webhook and
# cryptography count bytes of UTF-8, so a name that is right for both has at most as many bytes.
_LONGEST_IN_SUBJECT = 64
_LONGEST_DOMAIN = 253

NameKey = tuple[frozenset[tuple[str, str]], ...]
"""A name that can be compared and looked up: object identifier and value of each attribute."""

_DOMAIN = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def subject(
    common_name: str, *, organization: str | None = None, locality: str | None = None
) -> x509.Name:
    """Return the subject that holds ``common_name``, after what else is given, and nothing else.

    Raises:
        PkiError: `common_name_mistake` finds one; the other parts have the same limit (RFC 5280,
            appendix A.1, ub-organization-name) or twice as much.
    """
    mistake = common_name_mistake(common_name)
    if mistake is not None:
        raise PkiError(f"common name {common_name!r} {mistake}")
    parts = (
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.LOCALITY_NAME, locality),
        (NameOID.COMMON_NAME, common_name),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def name_key(name: x509.Name) -> NameKey:
    """Return a name without the string types of its values, which say nothing of who is meant."""
    return tuple(
        frozenset((each.oid.dotted_string, str(each.value)) for each in relative)
        for relative in name.rdns
    )


def read_name(text: str) -> NameKey | None:
    """Return the name that a text in the form of RFC 4514 means; None if it has another form."""
    try:
        return name_key(x509.Name.from_rfc4514_string(text)) if text else None
    except ValueError:
        return None


def common_name_mistake(common_name: str) -> str | None:
    """Return why no certificate may have ``common_name``, as the end of a sentence, or None."""
    return _mistake_in_subject(common_name, "ub-common-name")


def organization_mistake(organization: str) -> str | None:
    """Return why no subject may have ``organization``, as the end of a sentence, or None."""
    return _mistake_in_subject(organization, "ub-organization-name")


def _mistake_in_subject(text: str, bound: str) -> str | None:
    length = len(text.encode(errors="replace"))
    if not 0 < length <= _LONGEST_IN_SUBJECT:
        return (
            f"is {length} bytes long; write 1 to {_LONGEST_IN_SUBJECT} bytes of UTF-8 "
            f"(RFC 5280 A.1, {bound})"
        )
    if not text.isprintable() or text != text.strip():
        return "has blanks at an end or characters that do not print; remove them"
    return None


def permitted_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """Return ``domains`` as dNSName constraints: lower case, sorted, no duplicates, no leading dot.

    A constraint permits the domain itself and everything below it (RFC 5280, 4.2.1.10). The
    leading dot ("only below it") is defined there for URIs alone, and verifiers disagree on what
    it means in a dNSName; so ``.example.org`` is accepted as a spelling of ``example.org`` and
    means the same: the domain itself is permitted too.

    Raises:
        PkiError: one of them is not a DNS domain. Wildcards, trailing dots and non-ASCII characters
            are not allowed.
    """
    return tuple(sorted({_permitted_domain(domain) for domain in domains}))


def _permitted_domain(domain: str) -> str:
    name = domain.removeprefix(".").lower()
    if len(name) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(name):
        raise PkiError(
            f"permitted DNS domain {domain!r} is no DNS domain; write it as svc.cluster.local "
            "(it permits everything below it; no wildcard, no trailing dot, punycode if not ASCII)"
        )
    return name
