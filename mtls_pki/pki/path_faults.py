"""Why verifiers refuse a certification path, or a leaf by itself, as sentences without a full stop.

A path is a tuple of CAs from the one that signed the leaf up to an anchor.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, TypeAlias

from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from mtls_pki.pki.ca_facts import KNOWN_TO_MOST, CaFacts
from mtls_pki.pki.leaf_facts import IssuingChain, LeafFacts
from mtls_pki.pki.name_constraints import violations

Signed: TypeAlias = IssuingChain | CaFacts
"""What a CA signed: another CA, or the leaves of a chain."""

_ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
# Critical extensions that one of OpenSSL, Go and GnuTLS refuses, and another takes.
_KNOWN_TO_SOME = {
    oid.dotted_string
    for oid in (
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.POLICY_CONSTRAINTS,
    )
}

ONLY_CRYPTOGRAPHY = "which only Python's cryptography refuses"
"""Part of each doubt that OpenSSL, Go and GnuTLS do not share."""


class Fault(NamedTuple):
    """A reason to refuse; ``everywhere`` is False if some verifiers overlook it."""

    reason: str
    everywhere: bool = True


def path_faults(leaf: IssuingChain, cas: tuple[CaFacts, ...], at: datetime) -> tuple[Fault, ...]:
    """Return what is wrong with a path, apart from the leaf's own dates and names; worst first."""
    found: list[Fault] = []
    below: Signed = leaf
    for depth, ca in enumerate(cas):
        found += _date_faults(ca, at)
        found += _link_faults(below, ca)
        found += _ca_faults(ca)
        found += _length_faults(ca, cas[:depth])
        for lower in cas[:depth]:
            found += name_faults(lower.title(), lower, ca)
        below = ca
    return worst_first(found)


def worst_first(faults: list[Fault]) -> tuple[Fault, ...]:
    """Return the faults, those that every verifier sees before the others."""
    return tuple(sorted(faults, key=lambda fault: not fault.everywhere))


def leaf_faults(leaf: LeafFacts, at: datetime) -> tuple[Fault, ...]:
    """Return what is wrong with the leaf whoever signed it."""
    if leaf.not_before <= at < leaf.not_after and not leaf.strange:
        return ()
    found: list[Fault] = []
    if at < leaf.not_before:
        found.append(Fault(f"the leaf is not valid before {leaf.not_before.isoformat()}"))
    if leaf.not_after <= at:
        found.append(Fault(f"the leaf ended at {leaf.not_after.isoformat()}"))
    found += _strange_faults("the leaf", leaf.strange)
    return worst_first(found)


def name_faults(title: str, lower: LeafFacts | CaFacts, ca: CaFacts) -> Iterator[Fault]:
    """Yield which names of ``lower`` the constraints of ``ca`` above it do not allow."""
    if ca.constraints is None:
        return
    for name, rule, everywhere in violations(lower.names, ca.constraints):
        yield Fault(f"{title} has the name {name}, but {ca.title()} {rule}", everywhere)


def _date_faults(ca: CaFacts, at: datetime) -> Iterator[Fault]:
    if at < ca.not_before:
        yield Fault(f"{ca.title()} is not valid before {ca.not_before.isoformat()}")
    if ca.not_after <= at:
        yield Fault(f"{ca.title()} ended at {ca.not_after.isoformat()}")


def _link_faults(below: Signed, ca: CaFacts) -> Iterator[Fault]:
    """Yield what does not fit between a certificate and the CA whose key signed it."""
    title, key = title_of(below), below.authority_key
    if below.signer != ca.spki:
        yield Fault(f"{title} names {ca.subject.text}, whose key did not sign it")
    if below.issuer != ca.subject:
        # OpenSSL folds case and string types; Go and others compare bytes.
        folds = below.issuer.text.casefold() == ca.subject.text.casefold()
        yield Fault(
            f"{title} was issued by {below.issuer.text}, but the certificate of the key that "
            f"signed it is named {ca.subject.text}" + (" in another encoding" if folds else ""),
            everywhere=not folds,
        )
    if key.key_id is None:
        yield Fault(f"{title} has no authority key id", everywhere=False)
    elif ca.subject_key_id not in (None, key.key_id):
        yield Fault(
            f"{title} names the key id {key.key_id} of its signer, but {ca.title()} has "
            f"{ca.subject_key_id}",
            everywhere=False,
        )
    if key.serial is not None and key.serial != ca.serial:
        known = "another one" if ca.serial is None else f"{ca.serial:x}"
        yield Fault(
            f"{title} names the serial number {key.serial:x} of its signer, but {ca.title()} has "
            f"{known}",
            everywhere=False,
        )
    if key.issuer is not None and key.issuer != ca.issuer:
        yield Fault(
            f"{title} says that its signer was issued by {key.issuer.text}, but {ca.title()} was "
            f"issued by {ca.issuer.text}",
            everywhere=False,
        )


def _ca_faults(ca: CaFacts) -> Iterator[Fault]:
    title = ca.title()
    if not ca.is_ca:
        yield Fault(f"{title} is no CA: its basic constraints do not say CA:TRUE")
    elif not ca.critical_ca:
        yield Fault(f"the basic constraints of {title} are not critical", everywhere=False)
    if ca.may_sign is None:
        yield Fault(f"{title} has no key usage", everywhere=False)
    elif not ca.may_sign:
        yield Fault(f"{title} may not sign certificates: its key usage lacks keyCertSign")
    if ca.subject_key_id is None:
        yield Fault(f"{title} has no subject key id", everywhere=False)
    if not ca.for_mutual_tls:
        # OpenSSL alone does not take "any" for an answer.
        yield Fault(
            f"the extended key usage of {title} lacks server or client authentication",
            everywhere=_ANY_PURPOSE not in (ca.purposes or ()),
        )
    if ca.constraints is not None and (unknown := ca.constraints.of_unknown_kinds()):
        reason = f"{title} has name constraints that not every verifier knows: {', '.join(unknown)}"
        yield Fault(reason, everywhere=False)
    if ca.constraints is not None and (dotted := ca.constraints.with_leading_dots()):
        reason = f"{title} has the DNS constraints {', '.join(dotted)} with a leading dot"
        yield Fault(f"{reason}, {ONLY_CRYPTOGRAPHY}", everywhere=False)
    yield from _strange_faults(title, ca.strange)


def _strange_faults(title: str, strange: tuple[str, ...]) -> Iterator[Fault]:
    for oid in strange:
        known_to_most = oid in KNOWN_TO_MOST
        which = ONLY_CRYPTOGRAPHY if known_to_most else "which not every verifier knows"
        yield Fault(
            f"{title} has the critical extension {oid}, {which}",
            everywhere=not known_to_most and oid not in _KNOWN_TO_SOME,
        )


def _length_faults(ca: CaFacts, lower: tuple[CaFacts, ...]) -> Iterator[Fault]:
    """Yield if too many CAs follow below ``ca``.

    Self-issued ones do not count (RFC 5280, 6.1.4 l), but Go counts them. The limit of an anchor
    counts like any other.
    """
    if ca.path_length is None or len(lower) <= ca.path_length:
        return
    counted = sum(each.subject != each.issuer for each in lower)
    yield Fault(
        f"path length {ca.path_length} of {ca.title()} allows no more CAs below it, but there "
        f"{'is' if len(lower) == 1 else 'are'} {len(lower)}",
        everywhere=counted > ca.path_length,
    )


def title_of(signed: Signed) -> str:
    """Return what to call a certificate in a message."""
    return signed.title() if isinstance(signed, CaFacts) else "the leaf"
