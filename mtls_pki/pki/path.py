"""Whether verifiers accept a leaf: certification paths judged as RFC 5280, section 6, says.

Verifiers differ. So there are three answers (`Acceptance`), and a change breaks a connection as
soon as the answer for its leaf becomes a lower one, or gets a further doubt. Where they differ:

* OpenSSL (``verify -x509_strict``, which Python 3.13 asks for too) does not backtrack. It takes an
  issuer that fits by name and key ids, whatever else it says and whoever made the signature: a
  trusted one if there is one, and one that is valid now if there is one (x509_vfy.c,
  ``get1_issuer``, ``find_issuer``). Its path must end in a root. It demands what RFC 5280 asks of a
  CA, such as key ids.
* GnuTLS does not backtrack either. It takes an issuer of that name and key id, whatever its serial
  number, and a presented one before a trusted one. It falls back on the trusted one if the
  presented one has ended, or if nothing else of what is presented follows but a root.
* Go (crypto/x509) and ``cryptography`` try every path. An intermediate CA among the trusted
  certificates is an anchor for them. Go ignores key ids, but counts self-issued CAs.

Verifiers that skip a check do not make a leaf alive: rustls keeps only name and key of an anchor,
not its dates, path length and usages, and GnuTLS skips some name constraints and the purposes of an
anchor. OpenSSL, Go and ``cryptography`` check them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.leaf_facts import IssuingChain, LeafFacts
from mtls_pki.pki.path_faults import (
    ONLY_CRYPTOGRAPHY,
    Fault,
    leaf_faults,
    name_faults,
    worst_first,
)
from mtls_pki.pki.path_search import Acceptance, Path, PathSearch

__all__ = ["Acceptance", "IssuerVerification", "Verification", "verify_issuer", "verify_leaf"]

_ORDER = "a verifier may try another path first"


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer for one leaf under one bundle.

    Attributes:
        acceptance: the answer.
        reason: the one that is most useful, a sentence without full stop; empty if every verifier
            accepts.
        doubts: all reasons for which some verifiers refuse, while others accept.
    """

    acceptance: Acceptance
    reason: str = ""
    doubts: frozenset[str] = frozenset()

    @property
    def everywhere(self) -> bool:
        """Whether OpenSSL, Go and GnuTLS accept: the verifiers of TLS that people run."""
        if self.acceptance is Acceptance.SOME:
            return not self._grave
        return self.acceptance is Acceptance.EVERY

    @property
    def anywhere(self) -> bool:
        """Whether at least one verifier accepts: the leaf is alive."""
        return self.acceptance is not Acceptance.NONE

    def worse_than(self, before: Verification) -> bool:
        """Whether a verifier may refuse now that accepted ``before``: the change breaks it."""
        if self.everywhere or before.everywhere:
            return before.everywhere and not self.everywhere
        if self.acceptance is not before.acceptance:
            return self.acceptance < before.acceptance
        return not self._grave <= before._grave

    @property
    def _grave(self) -> frozenset[str]:
        return frozenset(doubt for doubt in self.doubts if ONLY_CRYPTOGRAPHY not in doubt)


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
    search = PathSearch(chain, anchors, at)
    paths, first = search.paths(), search.first_choices()
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
        return _doubted(best)
    worst = min(first, key=Path.rank)
    if worst.faults and all(ONLY_CRYPTOGRAPHY in fault.reason for fault in worst.faults):
        return _doubted(worst)
    if worst.faults:
        reason = f"{_ORDER}: {worst.faults[0].reason}"
        return Verification(Acceptance.SOME, reason, frozenset({_ORDER}))
    return Verification(Acceptance.EVERY)


def _doubted(path: Path) -> Verification:
    reasons = [fault.reason for fault in path.faults]
    grave = [reason for reason in reasons if ONLY_CRYPTOGRAPHY not in reason]
    return Verification(Acceptance.SOME, (grave or reasons)[0], frozenset(reasons))


def _for_leaf(path: Path, leaf: LeafFacts, own: tuple[Fault, ...]) -> Path:
    names = [fault for ca in path.cas for fault in name_faults("the leaf", leaf, ca)]
    return replace(path, faults=worst_first([*own, *path.faults, *names]))
