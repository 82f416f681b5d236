"""Which paths verifiers find from a leaf to an anchor; `pki.path` says how they differ."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from mtls_pki.pki.ca_facts import AuthorityKey, CaFacts
from mtls_pki.pki.leaf_facts import IssuingChain
from mtls_pki.pki.path_faults import Fault, Signed, path_faults, title_of, worst_first

# As many as the signatures that Go checks for one leaf (maxChainSignatureChecks): cross-signed CAs
# can form more paths than anybody wants to try.
_MOST_STEPS = 100
_END = object()


class Acceptance(enum.IntEnum):
    """Which verifiers accept a leaf. A change to a lower answer breaks connections."""

    NONE = 0
    SOME = 1
    EVERY = 2


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


class PathSearch:
    """Looks for paths from the leaves of one chain to the anchors of one bundle."""

    def __init__(self, chain: IssuingChain, anchors: frozenset[CaFacts], at: datetime) -> None:
        self._chain, self._at = chain, at
        # A certificate may be read here with its signer at hand, and there without it.
        signed = {replace(ca, signer=None): ca for ca in (*anchors, *chain.presented) if ca.signer}
        self._anchors = {signed.get(replace(ca, signer=None), ca) for ca in anchors}
        presented = {signed.get(replace(ca, signer=None), ca) for ca in chain.presented}
        # In an order that does not change from run to run.
        self._known = sorted(
            self._anchors | presented,
            key=lambda ca: (ca.subject.der, ca.spki, ca.not_after, ca.serial or 0),
        )
        self._leading = {anchor.spki for anchor in anchors}
        for _ in self._known:
            self._leading |= {ca.spki for ca in self._known if ca.signer in self._leading}

    def paths(self) -> list[Path]:
        """Return all paths of keys, short ones first: what a verifier tries that backtracks."""
        return _limited(self._paths())

    def first_choices(self) -> list[Path]:
        """Return the paths that OpenSSL or GnuTLS takes, in whatever order it has the CAs."""
        return _limited(self._first_choices(self._chain, ()))

    def _paths(self) -> Iterator[Path | None]:
        if self._chain.signer not in self._leading:
            yield self._dead_end(self._chain, ())
            return
        begun: deque[tuple[CaFacts, ...]] = deque([()])
        while begun:
            cas = begun.popleft()
            below: Signed = cas[-1] if cas else self._chain
            # A name and key that are in the path already would only make it longer, as in Go.
            taken = {(ca.subject, ca.spki) for ca in cas}
            for parent in self._known:
                if parent.spki != below.signer or (parent.subject, parent.spki) in taken:
                    continue
                yield self._complete((*cas, parent)) if parent in self._anchors else None
                if not parent.self_signed and parent.signer in self._leading:
                    begun.append((*cas, parent))

    def _first_choices(self, below: Signed, cas: tuple[CaFacts, ...]) -> Iterator[Path]:
        named = self._named(below, cas)
        fitting = [parent for parent in named if below.authority_key.fits(parent)]
        trusted = [parent for parent in fitting if parent in self._anchors]
        if cas and cas[-1] in self._anchors and not trusted:
            # From a trusted certificate OpenSSL goes on to trusted ones only.
            reason = f"{title_of(below)} is in the bundle, but {below.issuer.text} is not"
            yield Path(cas, complete=False, faults=(Fault(reason),))
            return
        openssl = trusted or fitting
        openssl = [parent for parent in openssl if parent.valid_at(self._at)] or openssl
        gnutls = [
            parent
            for parent in named
            if parent not in openssl and parent not in trusted and not parent.self_signed
            if not trusted or (self._at < parent.not_after and self._goes_on(parent, cas))
        ]
        if not fitting:
            yield self._dead_end(below, cas)
        for parent in (*openssl, *gnutls):
            if not parent.self_signed:
                yield from self._first_choices(parent, (*cas, parent))
            elif parent in self._anchors:
                yield self._complete((*cas, parent))
            else:
                yield self._dead_end(parent, (*cas, parent))

    def _named(self, below: Signed, cas: tuple[CaFacts, ...]) -> list[CaFacts]:
        """Return the issuers of that name and key id; nobody looks at the signature yet."""
        key = AuthorityKey(below.authority_key.key_id)
        return [
            parent
            for parent in self._known
            if parent.subject == below.issuer and key.fits(parent) and parent not in cas
        ]

    def _goes_on(self, ca: CaFacts, cas: tuple[CaFacts, ...]) -> bool:
        """Tell whether there is an issuer other than a root that signed it and is not trusted."""
        return any(
            parent in self._anchors or not parent.self_signed or parent.spki != ca.signer
            for parent in self._named(ca, cas)
        )

    def _complete(self, cas: tuple[CaFacts, ...]) -> Path:
        faults = path_faults(self._chain, cas, self._at)
        if not cas[-1].self_signed:
            reason = f"{cas[-1].title()} is in the bundle, but is no root"
            faults = worst_first([*faults, Fault(reason, everywhere=False)])
        return Path(cas, complete=True, faults=faults)

    def _dead_end(self, below: Signed, cas: tuple[CaFacts, ...]) -> Path:
        """Return the path that ends below an issuer that is not there; it may have CAs above."""
        parents = (ca for ca in self._known if ca.spki == below.signer and ca not in cas)
        while parent := next(parents, None):
            below, cas = parent, (*cas, parent)
            parents = (ca for ca in self._known if ca.spki == below.signer and ca not in cas)
        title, issuer = title_of(below), below.issuer.text
        if not self._anchors:
            reason = "the bundle holds no certificate"
        elif isinstance(below, CaFacts) and below.self_signed:
            reason = f"{title} is presented, but is not in the bundle"
        elif any(anchor.subject == below.issuer for anchor in self._anchors):
            reason = f"{title} was issued by {issuer}, but that of the bundle has another key"
        else:
            reason = f"no anchor of the bundle or presented CA signed {title} (issued by {issuer})"
        return Path(cas, complete=False, faults=(Fault(reason),))


def _limited(steps: Iterator[Path | None]) -> list[Path]:
    """Return the paths of so many steps, and if that is not all, one that stands for the rest."""
    found = [path for path in islice(steps, _MOST_STEPS) if path]
    if next(steps, _END) is not _END:
        reason = f"the CAs that it presents form more than {_MOST_STEPS} paths"
        found.append(Path((), complete=False, faults=(Fault(reason, everywhere=False),)))
    return found
