"""Judges the PEM of bundles and leaves that were read; nothing here reads a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

from mtls_pki.pki.bundle import bundle_members
from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.chain import signing_anchors
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.leaf_facts import LeafFacts
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.signatures import is_self_signed, is_signed_by
from mtls_pki.rotation.evidence import (
    BundleMember,
    BundleObservation,
    BundlePlace,
    BundleProblem,
    LeafObservation,
)


def observe_bundle(
    place: BundlePlace, pem: str | None, *, changed_at: datetime | None, hint: str = ""
) -> BundleObservation:
    """Judge the text of a live bundle; ``pem`` is None when the object or its key is missing."""
    detail = ""
    if pem is None:
        problem = BundleProblem.MISSING
    elif not pem.strip():
        problem = BundleProblem.EMPTY
    else:
        try:
            members = bundle_members(pem, origin=place.key)
        except PkiError as error:
            problem, detail = BundleProblem.UNPARSABLE, str(error)
        else:
            return BundleObservation(
                place=place,
                changed_at=changed_at,
                hint=hint,
                members=tuple(
                    BundleMember(
                        fingerprint=spki_sha256(member),
                        subject=member.subject.rfc4514_string(),
                        not_after=member.not_valid_after_utc,
                        self_signed=is_self_signed(member),
                        facts=CaFacts.of(member, members),
                    )
                    for member in members
                ),
            )
    return BundleObservation(
        place=place,
        members=(),
        changed_at=changed_at,
        problem=problem,
        detail=detail,
        hint=hint,
    )


def observe_leaf(
    *,
    cluster: str,
    namespace: str,
    name: str,
    kind: str,
    declared: bool,
    issuer: str,
    chain_pem: str | None,
    anchors: Iterable[x509.Certificate],
    issuing_cas: Iterable[x509.Certificate] = (),
    issued_at: datetime | None = None,
    unlike: Iterable[str] = (),
) -> LeafObservation:
    """Judge the chain of one leaf: who signed it and until when it lives.

    Args:
        chain_pem: the leaf first, then what is presented with it; None when it could not be read.
        anchors: every certificate that may be an anchor: those of the stage **and** all members
            of live bundles. Otherwise a leaf under a root added by hand would have no signer.
        issuing_cas: further CA certificates of the domain, for chains that are presented without
            their intermediate.
        unlike: how it differs from what was asked for.
    """
    problem: str | None = None
    signers: frozenset[str] = frozenset()
    not_before = not_after = ca_end = facts = None
    try:
        chain = parse_certificates(chain_pem or "", origin=f"{kind} {name}")
    except PkiError as error:
        problem = str(error)
    else:
        not_before, not_after = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
        pool = tuple(anchors)
        # As it is presented: a verifier knows nothing of what the issuer named besides.
        facts = LeafFacts.of(chain, pool)
        found = signing_anchors(chain, pool)
        if not found:
            chain = (*chain, *issuing_cas)
            found = signing_anchors(chain, pool)
        signers = frozenset(spki_sha256(anchor) for anchor in found)
        ca_end = _issuing_ca_end(chain, pool)
    return LeafObservation(
        cluster=cluster,
        namespace=namespace,
        name=name,
        kind=kind,
        declared=declared,
        signers=signers,
        issuer=issuer,
        not_before=not_before,
        not_after=not_after,
        issued_at=issued_at,
        issuing_ca_not_after=ca_end,
        problem=problem,
        unlike=tuple(unlike),
        facts=facts,
    )


def _issuing_ca_end(
    chain: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...]
) -> datetime | None:
    """Latest end among the CA certificates that signed the leaf itself, None without any.

    The latest, because several certificates of one issuing CA (renewed, cross-signed) may be
    presented, and a verifier needs only one that is valid. A leaf directly under an anchor needs
    none of them, whatever is presented with it.
    """
    if any(is_signed_by(chain[0], anchor) for anchor in anchors):
        return None
    ends = [
        certificate.not_valid_after_utc
        for certificate in chain[1:]
        if not is_self_signed(certificate) and is_signed_by(chain[0], certificate)
    ]
    return max(ends, default=None)
