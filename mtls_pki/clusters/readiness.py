"""Waits until Certificates of one cluster are Ready: one list and one watch for all of them.

A Certificate is Ready here when cert-manager says so of its present spec, and the chain that was
issued for it is of the issuer that it names and leads to the anchor of that issuer. cert-manager
compares the issuer's name alone (internal/controller/certificates/policies/checks.go), so what
signs under that name is looked at in the CertificateRequests; where the one of the present revision
is gone, nothing contradicts cert-manager.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster, ClusterError, ForbiddenError
from mtls_pki.clusters.recorded import certificates_in, condition
from mtls_pki.clusters.sources.issuers import API
from mtls_pki.pki.chain import signing_anchors
from mtls_pki.pki.signer_names import GROUP

CERTIFICATES, REQUESTS = f"{API}/certificates", f"{API}/certificaterequests"
ABSENT = "does not exist in the cluster"

_REVISION = "cert-manager.io/certificate-revision"
# A proxy may cut what is longer, and a listing now and then finds what a watch has missed.
_WATCH_SECONDS = 60
_PAUSE_SECONDS = 1.0

Key = tuple[str, str]
"""Namespace and name of a Certificate."""

Issuer = tuple[str, str, str]
"""Group, kind and name, as a Certificate names it."""

Anchors = Mapping[Issuer, x509.Certificate]
"""The trust anchor under which each issuer of the stack signs."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """How a wait ended.

    Attributes:
        missing: why each Certificate is not Ready, as far as it is not in its own conditions: empty
            where they say why.
        error: why the cluster could not be asked any more; None where it could.
    """

    missing: Mapping[Key, str]
    error: ClusterError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What was last seen of one Certificate.

    ``conditions`` is whether they say that it is Ready; ``contradiction`` how its chain is not what
    it names: None while the chain was not looked at.
    """

    issuance: tuple[str, int | None, Issuer]
    conditions: bool
    contradiction: str | None = None


class Readiness:
    """What is known of all that are waited for.

    Attributes:
        awaited: the keys.
        progress: how many were Ready at some time.
    """

    def __init__(self, awaited: Iterable[Key], anchors: Anchors) -> None:
        """Nothing was seen yet."""
        self.awaited = dict.fromkeys(awaited)
        self._anchors = anchors
        self._seen: dict[Key, _Seen] = {}
        self._ready: set[Key] = set()
        self._ever: set[Key] = set()

    @property
    def ready(self) -> int:
        """How many are Ready."""
        return len(self._ready)

    @property
    def progress(self) -> int:
        """How many were Ready at some time."""
        return len(self._ever)

    @property
    def all_ready(self) -> bool:
        """Whether all are Ready, as far as their chains were looked at."""
        return len(self._ready) == len(self.awaited)

    @property
    def to_check(self) -> bool:
        """Whether all are Ready by their conditions, and a chain was not looked at."""
        return self.all_ready and bool(self._unchecked())

    @property
    def complete(self) -> bool:
        """Whether all are Ready, and the chain of each was looked at."""
        return self.all_ready and not self._unchecked()

    def missing(self) -> dict[Key, str]:
        """Return why each of the others is not Ready; empty where its own conditions say why."""
        return {
            key: (self._seen[key].contradiction or "") if key in self._seen else ABSENT
            for key in self.awaited
            if key not in self._ready
        }

    def relist(self, found: Iterable[Mapping[str, Any]]) -> None:
        """Note all that there are now."""
        there = {_key(live): live for live in found}
        for key in self._seen.keys() - there.keys():
            self._remove(key)
        for live in there.values():
            self.see("ADDED", live)

    def see(self, event: str, live: Mapping[str, Any]) -> None:
        """Note what a watch tells of one Certificate; others than those awaited are left alone."""
        key = _key(live)
        if key not in self.awaited:
            return
        if event == "DELETED":
            self._remove(key)
            return
        status, before = live.get("status", {}), self._seen.get(key)
        issuance = (
            live["metadata"]["uid"],
            status.get("revision"),
            _issuer(live["spec"].get("issuerRef", {})),
        )
        known = before is not None and before.issuance == issuance
        self._note(
            key,
            _Seen(
                issuance=issuance,
                conditions=is_ready(live),
                contradiction=before.contradiction if before is not None and known else None,
            ),
        )

    def check(self, requests: Iterable[Mapping[str, Any]]) -> None:
        """Look at the chains that were not looked at; one of another signer is not Ready."""
        contradictions: dict[Key, str] = dict.fromkeys(self._unchecked(), "")
        for live in requests:
            for key, uid in _owners(live):
                if key not in contradictions:
                    continue
                owner, revision, issuer = self._seen[key].issuance
                annotations = live["metadata"].get("annotations") or {}
                if owner == uid and annotations.get(_REVISION) == str(revision):
                    anchor = self._anchors.get(issuer)
                    contradictions[key] = _contradiction(live, issuer, anchor)
        for key, contradiction in contradictions.items():
            self._note(key, replace(self._seen[key], contradiction=contradiction))

    def _unchecked(self) -> list[Key]:
        return [key for key in self._ready if self._seen[key].contradiction is None]

    def _note(self, key: Key, seen: _Seen) -> None:
        self._seen[key] = seen
        if seen.conditions and not seen.contradiction:
            self._ready.add(key)
            self._ever.add(key)
        else:
            self._ready.discard(key)

    def _remove(self, key: Key) -> None:
        self._seen.pop(key, None)
        self._ready.discard(key)


def is_ready(certificate: Mapping[str, Any]) -> bool:
    """Whether cert-manager says that a Certificate is Ready with its present spec."""
    found = condition(certificate, "Ready") or {}
    return (
        found.get("status") == "True"
        and found.get("observedGeneration") == certificate["metadata"]["generation"]
    )


def wait_until_ready(
    cluster: Cluster,
    awaited: Iterable[Key],
    anchors: Anchors,
    *,
    patience: timedelta,
    report: Callable[[Readiness], None],
) -> Waited:
    """Wait until all of ``awaited`` are Ready, or none has become so for ``patience``.

    An API server that goes away is waited for like a Certificate.

    Args:
        cluster: where they are.
        awaited: any number of them.
        anchors: of the stack's issuers, also of those that a Certificate has not left yet.
        patience: since the last that became Ready for the first time.
        report: is told whenever something was seen.

    Raises:
        ForbiddenError: this identity may not list or watch what is needed.
    """
    state = Readiness(awaited, anchors)
    clock = _Patience(patience, state)
    while True:
        error = None
        try:
            for _ in _follow(cluster, state, clock):
                report(state)
        except ForbiddenError:
            raise
        except ClusterError as broken:
            error = broken
            time.sleep(max(0.0, min(_PAUSE_SECONDS, clock.left())))
        if (state.complete and error is None) or clock.left() <= 0:
            return Waited(missing=state.missing(), error=error)


class _Patience:
    """Counts from the last progress."""

    def __init__(self, patience: timedelta, state: Readiness) -> None:
        self._seconds = patience.total_seconds()
        self._state = state
        self._progress = 0
        self._since = time.monotonic()

    def left(self) -> float:
        """Return the seconds that are left, never more than all, below zero after the end."""
        if self._state.progress != self._progress:
            self._progress, self._since = self._state.progress, time.monotonic()
        return self._since + self._seconds - time.monotonic()


def _follow(cluster: Cluster, state: Readiness, clock: _Patience) -> Iterator[None]:
    """List once and watch; yield after each thing that was seen."""
    listed, version = cluster.list_with_version(
        CERTIFICATES, lambda live: live if _key(live) in state.awaited else None
    )
    state.relist(listed)
    _check(cluster, state)
    yield
    if state.complete or clock.left() <= 0:
        return
    seconds = max(1, min(_WATCH_SECONDS, round(clock.left())))
    for event, live in cluster.watch(CERTIFICATES, version, seconds=seconds):
        state.see(event, live)
        _check(cluster, state)
        yield
        if state.complete or clock.left() <= 0:
            return


def _check(cluster: Cluster, state: Readiness) -> None:
    # Once all are Ready, and not for each of them: it is a list of all requests.
    if not state.to_check:
        return

    def keep(live: dict[str, Any]) -> dict[str, Any] | None:
        return live if any(key in state.awaited for key, _ in _owners(live)) else None

    state.check(cluster.list_all(REQUESTS, keep))


def _owners(request: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    metadata = request["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        yield (metadata["namespace"], owner["name"]), owner["uid"]


def _contradiction(
    request: Mapping[str, Any], issuer: Issuer, anchor: x509.Certificate | None
) -> str:
    """Return how what was issued is not what the Certificate names, empty where it is."""
    signer = _issuer(request["spec"].get("issuerRef", {}))
    if signer != issuer:
        return f"its leaf is of {signer[1]} {signer[2]}, and it names {issuer[1]} {issuer[2]}"
    if anchor is None:
        return ""
    status = request.get("status", {})
    chain = certificates_in(status.get("certificate"))
    if not chain or signing_anchors((*chain, *certificates_in(status.get("ca"))), [anchor]):
        return ""
    return (
        f"its leaf, of CertificateRequest {request['metadata']['name']}, does not lead to the "
        f"anchor of {issuer[1]} {issuer[2]} ({anchor.subject.rfc4514_string()})"
    )


def _issuer(reference: Mapping[str, str]) -> Issuer:
    return (
        reference.get("group") or GROUP,
        reference.get("kind") or "Issuer",
        reference.get("name", ""),
    )


def _key(live: Mapping[str, Any]) -> Key:
    return live["metadata"]["namespace"], live["metadata"]["name"]
