"""Whether verifiers accept a leaf: certification paths judged as RFC 5280, section 6, says.

Verifiers differ. So there are three answers (`Acceptance`), and a change breaks a connection as
soon as the answer for its leaf becomes a lower one. Where they differ:

* OpenSSL (``verify -x509_strict``, which Python 3.13 asks for too) does not backtrack. It takes an
  issuer that fits by name and key ids, whatever else it says and whoever made the signature: a
  trusted one if there is one, and one that is valid now if there is one (x509_vfy.c,
  ``get1_issuer``, ``find_issuer``). Its path must end in a root. It demands what RFC 5280 asks of a
  CA, such as key ids.
* GnuTLS does not backtrack either, and takes a presented issuer before a trusted one. It falls back
  on the trusted one if the presented one has ended, or leads to no anchor.
* Go (crypto/x509) and ``cryptography`` try every path. An intermediate CA among the trusted
  certificates is an anchor for them. Go ignores key ids, but counts self-issued CAs.

A verifier that keeps only name and key of an anchor (rustls) accepts more: dates, path length and
usages of the anchor count here, since most verifiers look at them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import islice

from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.leaf_facts import IssuingChain, LeafFacts
from mtls_pki.pki.path_faults import (
    Fault,
    Signed,
    leaf_faults,
    name_faults,
    path_faults,
    title_of,
    worst_first,
)

# As many as the signatures that Go checks for one leaf (maxChainSignatureChecks): cross-signed CAs
# can form more paths than anybody wants to try.
_MOST_PATHS = 100


class Acceptance(enum.IntEnum):
    """Who accepts a leaf. A change to a lower answer breaks connections."""

    NONE = 0
    SOME = 1
    EVERY = 2


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer, and the one reason that is most useful; empty if every verifier accepts."""

    acceptance: Acceptance
    reason: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether every verifier accepts."""
        return self.acceptance is Acceptance.EVERY

    @property
    def anywhere(self) -> bool:
        """Whether at least one verifier accepts: the leaf is alive."""
        return self.acceptance is not Acceptance.NONE


@dataclass(frozen=True, slots=True)
class Path:
    """CAs from the one that signed the leaf up to an anchor, or to where it does not go on."""

    cas: tuple[CaFacts, ...]
    complete: bool
    faults: tuple[Fault, ...]

    @property
    def acceptance(self) -> Acceptance:
        """The answer for this path alone."""
        if not self.faults:
            return Acceptance.EVERY
        return Acceptance.NONE if self.faults[0].everywhere else Acceptance.SOME

    def rank(self) -> tuple[int, bool, int, int]:
        """The greater, the nearer to a path that holds."""
        fatal = sum(fault.everywhere for fault in self.faults)
        return self.acceptance, self.complete, -fatal, len(self.cas)


@dataclass(frozen=True, slots=True)
class IssuerVerification:
    """What is the same for all leaves of an issuing CA.

    Attributes:
        answer: for a leaf whose own dates and names are in order.
        usable: the paths that some verifier accepts.
        first: the paths that a verifier may take that does not backtrack.
        constrained: the answer depends on the names of the leaf, too.
    """

    answer: Verification
    usable: tuple[Path, ...]
    first: tuple[Path, ...]
    constrained: bool


def verify_leaf(leaf: LeafFacts, anchors: frozenset[CaFacts], at: datetime) -> Verification:
    """Judge one leaf under one bundle.

    Args:
        leaf: with the CAs that are presented with it.
        anchors: the members of the bundle.
        at: aware UTC.
    """
    issuer = verify_issuer(leaf.chain, anchors, at)
    own = leaf_faults(leaf, at)
    if not issuer.usable or not (own or issuer.constrained):
        return issuer.answer
    return _answer(
        [_for_leaf(path, leaf, own) for path in issuer.usable],
        [_for_leaf(path, leaf, own) for path in issuer.first],
    )


@lru_cache(maxsize=4096)
def verify_issuer(
    chain: IssuingChain, anchors: frozenset[CaFacts], at: datetime
) -> IssuerVerification:
    """Judge all that does not depend on the single leaf; remembered, for there are few of these.

    Args:
        chain: what the leaves of one issuing CA present.
        anchors: the members of a bundle. Those that are not roots are anchors for some verifiers.
        at: aware UTC.
    """
    paths = [*islice(_paths(chain, (), chain, anchors, at), _MOST_PATHS)]
    first = [*_limited(_first_choices(chain, (), chain, anchors, at))]
    usable = tuple(path for path in paths if path.acceptance > Acceptance.NONE)
    return IssuerVerification(
        answer=_answer(paths, first),
        usable=usable,
        first=tuple(first),
        constrained=any(ca.constraints for path in usable for ca in path.cas),
    )


def _answer(paths: list[Path], first: list[Path]) -> Verification:
    """Return the answer for all paths, of which a verifier that does not backtrack takes one."""
    best = max(paths, key=Path.rank)
    if best.acceptance is Acceptance.NONE:
        return Verification(Acceptance.NONE, best.faults[0].reason)
    if best.faults:
        return Verification(Acceptance.SOME, best.faults[0].reason)
    worst = min(first, key=Path.rank)
    if worst.faults:
        reason = f"a verifier may try another path first: {worst.faults[0].reason}"
        return Verification(Acceptance.SOME, reason)
    return Verification(Acceptance.EVERY)


def _for_leaf(path: Path, leaf: LeafFacts, own: tuple[Fault, ...]) -> Path:
    names = [fault for ca in path.cas for fault in name_faults("the leaf", leaf, ca)]
    return replace(path, faults=worst_first([*own, *path.faults, *names]))


def _paths(
    below: Signed,
    cas: tuple[CaFacts, ...],
    chain: IssuingChain,
    anchors: frozenset[CaFacts],
    at: datetime,
) -> Iterator[Path]:
    """Yield every path of keys, depth first: what a verifier may try that backtracks."""
    # A name and key that are in the path already would only make it longer, as in Go.
    taken = {(ca.subject, ca.spki) for ca in cas}
    parents = [
        parent
        for parent in _known(chain, anchors)
        if parent.spki == below.signer
        and (parent.subject, parent.spki) not in taken
        and (parent in anchors or not parent.self_signed)
    ]
    if not parents:
        yield _dead_end(below, cas, chain, anchors, at)
    for parent in parents:
        if parent in anchors:
            yield _complete(chain, (*cas, parent), at)
        if not parent.self_signed:
            yield from _paths(parent, (*cas, parent), chain, anchors, at)


def _first_choices(
    below: Signed,
    cas: tuple[CaFacts, ...],
    chain: IssuingChain,
    anchors: frozenset[CaFacts],
    at: datetime,
) -> Iterator[Path]:
    """Yield the paths that OpenSSL or GnuTLS takes, in whatever order it gets the certificates."""
    fitting = [
        parent
        for parent in _known(chain, anchors)
        if parent.subject == below.issuer and below.authority_key.fits(parent) and parent not in cas
    ]
    trusted = [parent for parent in fitting if parent in anchors]
    openssl = trusted or fitting
    openssl = [parent for parent in openssl if parent.valid_at(at)] or openssl
    gnutls = [
        parent
        for parent in fitting
        if parent not in openssl and not (parent in anchors or parent.self_signed)
        if not trusted or (at < parent.not_after and _leads(parent, cas, chain, anchors, at))
    ]
    if not fitting:
        yield _dead_end(below, cas, chain, anchors, at)
    for parent in (*openssl, *gnutls):
        if not parent.self_signed:
            yield from _first_choices(parent, (*cas, parent), chain, anchors, at)
        elif parent in anchors:
            yield _complete(chain, (*cas, parent), at)
        else:
            yield _dead_end(parent, (*cas, parent), chain, anchors, at)


def _leads(
    ca: CaFacts,
    cas: tuple[CaFacts, ...],
    chain: IssuingChain,
    anchors: frozenset[CaFacts],
    at: datetime,
) -> bool:
    """Tell whether some path goes on from ``ca`` to an anchor."""
    paths = islice(_paths(ca, (*cas, ca), chain, anchors, at), _MOST_PATHS)
    return any(path.complete for path in paths)


def _limited(paths: Iterator[Path]) -> Iterator[Path]:
    yield from islice(paths, _MOST_PATHS)
    if next(paths, None):
        reason = f"the CAs that it presents form more than {_MOST_PATHS} paths"
        yield Path((), complete=False, faults=(Fault(reason, everywhere=False),))


def _known(chain: IssuingChain, anchors: frozenset[CaFacts]) -> list[CaFacts]:
    """Return the CAs that a verifier has, in an order that does not change from run to run."""
    known = {*anchors, *chain.presented}
    return sorted(known, key=lambda ca: (ca.subject.der, ca.spki, ca.not_after, ca.serial or 0))


def _complete(chain: IssuingChain, cas: tuple[CaFacts, ...], at: datetime) -> Path:
    faults = path_faults(chain, cas, at)
    if not cas[-1].self_signed:
        reason = f"{cas[-1].title()} is in the bundle, but is no root"
        faults = worst_first([*faults, Fault(reason, everywhere=False)])
    signed: Signed = chain
    for ca in cas:
        if signed.signer != ca.spki:
            reason = f"{title_of(signed)} names {ca.subject.text}, whose key did not sign it"
            faults = (Fault(reason), *faults)
        signed = ca
    return Path(cas, complete=True, faults=faults)


def _dead_end(
    below: Signed,
    cas: tuple[CaFacts, ...],
    chain: IssuingChain,
    anchors: frozenset[CaFacts],
    at: datetime,
) -> Path:
    title, issuer = title_of(below), below.issuer.text
    if not anchors:
        reason = "the bundle holds no certificate"
    elif isinstance(below, CaFacts) and below.self_signed:
        reason = f"{title} is presented, but is not in the bundle"
    elif any(anchor.subject == below.issuer for anchor in anchors):
        reason = f"{title} was issued by {issuer}, but that of the bundle has another key"
    else:
        reason = f"no anchor of the bundle or presented CA signed {title} (issued by {issuer})"
    return Path(cas, complete=False, faults=(Fault(reason), *path_faults(chain, cas, at)))
