"""Where trust changes: bundles, issuers and Certificates by cluster and namespace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mtls_pki.pages.document import Code, Line
from mtls_pki.review.kinds import Fate
from mtls_pki.review.trust import (
    BundleChange,
    IssuerChange,
    LeafChange,
    Resigned,
    TrustChange,
)

_NAMED = 4


def leaf_lines(trust: TrustChange) -> Iterator[Line]:
    """Yield who issues from what: canaries, how many Certificates are reissued, and why."""
    for service, before, after in dict.fromkeys(c for s in trust.stages for c in s.canaries):
        issuing = "the issuing anchor"
        yield Line(
            "Canary ",
            Code(text=service),
            f": issued from {after or issuing} instead of {before or issuing}",
        )
    if any(bundle.renewed for bundle in trust.bundles):
        yield Line("Roots are renewed: same keys, new dates; verifiers get them with the bundles")
    for old, new in trust.domains:
        yield Line(
            "Identities move to trust domain ",
            Code(text=new),
            " from ",
            Code(text=old),
            "; whoever authorises by SPIFFE ID refuses the new ones until told of them",
        )
    reissued = [leaf for leaf in trust.leaves if leaf.reissued]
    moved = Counter((leaf.former, leaf.issuer) for leaf in reissued if leaf.former != leaf.issuer)
    for (former, signer), count in sorted(moved.items()):
        yield Line(
            f"{_certificates(count)} reissued, by ",
            Code(text=signer),
            " instead of ",
            Code(text=former),
        )
    stay = [leaf for leaf in reissued if leaf.former == leaf.issuer]
    if stay:
        fields = sorted({field for leaf in stay for field in leaf.fields})
        why = ", ".join(fields) or "they are replaced"
        yield Line(f"{_certificates(len(stay))} reissued, because of ", why)
    for issuer in _resigned(trust.issuers):
        if issuer.stable and issuer.resigned is Resigned.OTHER_KEY:
            yield Line(
                "The stable issuer ",
                Code(text=issuer.name),
                " signs with another CA; Certificates that other teams hang on it do not move by "
                "themselves",
            )
        elif issuer.resigned is Resigned.RENEWED:
            yield Line(
                "The CA of ",
                Code(text=issuer.name),
                " is renewed: same key, new dates; leaves stay as they are",
            )
        else:
            yield Line(
                "The CA of ",
                Code(text=issuer.name),
                " gets another key under the same name; leaves do not move by themselves",
            )


def place_rows(trust: TrustChange) -> tuple[tuple[Line, ...], ...]:
    """Return a row for each place where anything changes: place, bundle, issuers, Certificates."""
    bundles: dict[tuple[str, str], list[BundleChange]] = {}
    issuers: dict[tuple[str, str], list[IssuerChange]] = {}
    leaves: dict[tuple[str, str], list[LeafChange]] = {}
    for bundle in trust.bundles:
        if bundle.fate is not Fate.SAME:
            bundles.setdefault((bundle.cluster, bundle.namespace), []).append(bundle)
    for issuer in trust.issuers:
        if issuer.fate is not Fate.SAME or issuer.resigned is not Resigned.NO:
            issuers.setdefault((issuer.cluster, issuer.namespace), []).append(issuer)
    for leaf in trust.leaves:
        if leaf.fate is not Fate.SAME:
            leaves.setdefault((leaf.cluster, leaf.namespace), []).append(leaf)
    return tuple(
        (
            Line(Code(text="/".join(filter(None, place)))),
            _joined(map(_bundle, bundles.get(place, ()))),
            _joined(map(_issuer, issuers.get(place, ()))),
            Line(_leaves(leaves.get(place, ()))),
        )
        for place in sorted({*bundles, *issuers, *leaves})
    )


def _bundle(bundle: BundleChange) -> str:
    parts = [f"gains {', '.join(bundle.gained)}"] if bundle.gained else []
    parts += [f"loses {', '.join(bundle.lost)}"] if bundle.lost else []
    parts += ["roots renewed"] if bundle.renewed else []
    if bundle.fate is not Fate.UPDATED:
        parts.insert(0, bundle.fate.value)
    return f"{bundle.name}: {', '.join(parts) or 'written anew'}"


def _issuer(issuer: IssuerChange) -> str:
    if issuer.resigned is Resigned.NO or issuer.fate not in (Fate.SAME, Fate.UPDATED):
        return f"{issuer.name}: {issuer.fate}"
    renewed = issuer.resigned is Resigned.RENEWED
    return f"{issuer.name}: {'CA renewed' if renewed else 'signs with another CA'}"


def _leaves(leaves: Iterable[LeafChange]) -> str:
    counts = Counter(
        "reissued" if leaf.reissued else "changed" if leaf.fate is Fate.UPDATED else leaf.fate.value
        for leaf in leaves
    )
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "-"


def _joined(texts: Iterable[str]) -> Line:
    listed = list(texts)
    shown = [f"; {text}" if place else text for place, text in enumerate(listed[:_NAMED])]
    if len(listed) > _NAMED:
        shown.append(f" and {len(listed) - _NAMED} more")
    return Line(*(shown or ("-",)))


def _certificates(count: int) -> str:
    return "1 Certificate is" if count == 1 else f"{count} Certificates are"


def _resigned(issuers: Iterable[IssuerChange]) -> Iterator[IssuerChange]:
    """Yield each name once, whether it stands in one namespace or in a hundred."""
    moved = (issuer for issuer in issuers if issuer.resigned is not Resigned.NO)
    return iter({issuer.name: issuer for issuer in moved}.values())
