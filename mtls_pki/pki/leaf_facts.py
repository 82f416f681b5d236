"""What a verifier judges of a leaf. There are tens of thousands, so what they share is shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509

from mtls_pki.pki.ca_facts import AuthorityKey, CaFacts, DistinguishedName, strange_extensions
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.name_constraints import NO_NAMES, GeneralNames
from mtls_pki.pki.signatures import signer_among


@dataclass(frozen=True, slots=True)
class IssuingChain:
    """What all leaves of one issuing CA have in common.

    Attributes:
        presented: the CA certificates that come with the leaf, in their order; some may be useless.
        issuer: the name that the leaf gives its signer.
        authority_key: what else it says of its signer.
        signer: identity of the key whose signature it bears, as `pki.fingerprints.spki_sha256`;
            None if no known key made it.
    """

    presented: tuple[CaFacts, ...]
    issuer: DistinguishedName
    authority_key: AuthorityKey
    signer: str | None

    def __hash__(self) -> int:
        # Looked up for each leaf; equal chains are equal in these.
        return hash((self.signer, self.issuer, len(self.presented)))


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """One leaf with the chain that it presents.

    Attributes:
        chain: shared by all leaves of an issuing CA.
        not_before: aware UTC, as is ``not_after``.
        names: what name constraints are about.
        strange: critical extensions (object identifiers) that some verifier does not know.
    """

    chain: IssuingChain
    not_before: datetime
    not_after: datetime
    names: GeneralNames = NO_NAMES
    strange: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, chain: tuple[x509.Certificate, ...], known: Iterable[x509.Certificate] = ()
    ) -> LeafFacts:
        """Return the facts of a leaf.

        Args:
            chain: the leaf, then what is presented with it.
            known: further certificates among which signers are looked for: members of bundles, and
                the domain's issuing CAs. Give all callers the same, in the same order: equal facts
                are then the same objects.
        """
        leaf, *rest = chain
        return cls(
            chain=_issuing_chain(
                tuple(rest),
                tuple(known),
                DistinguishedName.of(leaf.issuer),
                AuthorityKey.of(leaf),
                _signer(leaf, (*rest, *known)),
            ),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            names=GeneralNames.of(leaf),
            strange=strange_extensions(leaf),
        )


def _signer(leaf: x509.Certificate, candidates: tuple[x509.Certificate, ...]) -> str | None:
    signer = signer_among(leaf, candidates)
    return spki_sha256(signer) if signer else None


@lru_cache(maxsize=1024)
def _issuing_chain(
    presented: tuple[x509.Certificate, ...],
    known: tuple[x509.Certificate, ...],
    issuer: DistinguishedName,
    authority_key: AuthorityKey,
    signer: str | None,
) -> IssuingChain:
    pool = (*presented, *known)
    return IssuingChain(
        presented=tuple(CaFacts.of(certificate, pool) for certificate in presented),
        issuer=issuer,
        authority_key=authority_key,
        signer=signer,
    )
