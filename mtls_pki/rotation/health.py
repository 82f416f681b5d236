"""What is wrong in a domain now, whatever is changed next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from mtls_pki.rotation.evidence import Evidence, LeafObservation
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Laggard, Notice

_BROKEN = frozenset(
    {
        *("anchor-expired", "issuing-ca-expired", "leaves-of-expired-anchor"),
        *("bundle-problem", "bundle-lacks-anchor", "bundle-holds-foreign-root"),
        *("chain-broken", "leaf-missing", "leaf-untrusted", "leaf-signer-unknown"),
        *("issuer-not-ready", "issuance-failed"),
        *("record-missing", "gate-problem", "gate-differs"),
    }
)


def broken(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return those of the notices that say that something is broken, and not only under way."""
    return tuple(notice for notice in notices if notice.identifier in _BROKEN)


def declared_notices(request: ChangeRequest, evidence: Evidence, now: datetime) -> Iterator[Notice]:
    """Yield what of the declared Certificates is not there, or is of no use.

    Only of clusters that could be read and have a record: before the first update nothing is there.
    """
    applied = {each.cluster for each in evidence.reachable if each.gate is not None}
    live = [leaf for leaf in evidence.leaves if leaf.declared and leaf.live(now)]
    with_leaf = {_key(leaf) for leaf in live}
    there = {(use.cluster, use.namespace, use.name): use for use in evidence.uses if use.declared}
    there_by_leaf = {_key(leaf) for leaf in evidence.leaves if leaf.kind == "Certificate"}
    wanted = sorted(key for key in request.declared if key[0] in applied)
    absent = [key for key in wanted if key not in there and key not in there_by_leaf]
    if absent:
        yield Notice(
            # Not among the broken: it may be new in the change that is judged.
            identifier="certificate-missing",
            message=f"{len(absent)} Certificates of the stack file are not there; `pulumi up` "
            "makes those that are new, `pulumi up --refresh` those that were deleted",
            laggards=tuple(_laggard(key, "is not there") for key in absent),
        )
    # Those that failed are told with their reason.
    empty = [
        key
        for key in wanted
        if key in there and there[key].failure is None and key not in with_leaf
    ]
    if empty:
        yield Notice(
            identifier="leaf-missing",
            message=f"{len(empty)} Certificates of the stack have no leaf that is valid now; "
            "`kubectl describe` of one says what cert-manager waits for",
            laggards=tuple(_laggard(key, there[key].issuer) for key in empty),
        )
    untrusted = [leaf for leaf in live if not leaf.signers and leaf.problem is None]
    if untrusted:
        yield Notice(
            identifier="leaf-untrusted",
            message=f"{len(untrusted)} leaves of the stack chain to no anchor of it, so no "
            "verifier takes them: look at the CA of their issuer, then `mtls-pki reissue`",
            laggards=tuple(_laggard(_key(leaf), f"issuer {leaf.issuer}") for leaf in untrusted),
        )


def _key(leaf: LeafObservation) -> tuple[str, str, str]:
    return (leaf.cluster, leaf.namespace, leaf.name)


def _laggard(key: tuple[str, str, str], detail: str) -> Laggard:
    cluster, namespace, name = key
    return Laggard(
        cluster=cluster, namespace=namespace, kind="Certificate", name=name, detail=detail
    )
