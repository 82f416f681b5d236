"""Having Certificates issued again: in batches, at a bounded rate, and safe to interrupt.

cert-manager does the work; this module only asks for it and watches. Nothing is remembered between
runs: each run reads from the clusters what is left to do. So an interrupted run is simply started
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from mtls_pki.clusters.issuing_condition import ConflictError
from mtls_pki.clusters.reissue_candidates import Certificate, DeadRequest, Stale
from mtls_pki.errors import CommandError

# Certificates change only when cert-manager works on them, which is rare. If one changes more often
# than this, something else keeps changing it.
_ATTEMPTS = 5
_SWEEP_SECONDS = 1.0
_NAMED = 10


class Certificates(Protocol):
    """What a run needs of a cluster: see ``clusters.issuing_condition.CertificateClient``."""

    def certificate(self, namespace: str, name: str) -> Certificate | None:
        """Return one Certificate as it is now, None if it is gone."""

    def delete_request(self, namespace: str, request: DeadRequest) -> None:
        """Delete a CertificateRequest that failed and would fail every issuance after it."""

    def mark_issuing(self, certificate: Certificate, *, message: str) -> None:
        """Ask for it to be issued again, unless it has changed since it was read."""


@dataclass(kw_only=True)
class Pace:
    """At most ``rate`` requests a second, evenly spaced, so that no burst reaches the API server.

    ``clock`` and ``sleep`` are those of ``time``, in seconds.
    """

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next: float = 0.0

    def wait(self) -> None:
        """Return when the next request may be sent."""
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.rate


@dataclass(kw_only=True)
class Run:
    """How far a run has come; right at any moment, so also when the run is interrupted.

    Attributes:
        total: how many Certificates are to be issued again.
        done: those that were issued again, or that no longer exist.
        failed: those that were not issued again, and why.
        under_way: those that were asked for and are not issued yet.
    """

    total: int
    done: list[Certificate] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    under_way: dict[str, Certificate] = field(default_factory=dict)

    @property
    def untouched(self) -> int:
        """How many were not asked for yet."""
        return self.total - len(self.done) - len(self.failed) - len(self.under_way)


@dataclass(frozen=True, kw_only=True)
class Reissue:
    """How Certificates of one cluster are issued again.

    Attributes:
        certificates: the cluster.
        pace: for every single request to it.
        batch: how many are under way at most.
        probe: begin with one alone: whether its authority signs again is seen by that, and a
            failure makes cert-manager wait twice as long.
        timeout: how long a batch may take.
        message: of the condition, for people who look at a Certificate.
        moved: called after the first batch; returns which of its Certificates (by uid) are still
            stale. So a CA that is not the new one yet is noticed before the others are issued in
            vain.
        tell: called with the run whenever its numbers have changed.
    """

    certificates: Certificates
    pace: Pace
    batch: int
    probe: bool
    timeout: timedelta
    message: str
    moved: Callable[[], Iterable[Stale]]
    tell: Callable[[Run], None]

    def __call__(self, run: Run, stale: Sequence[Stale]) -> None:
        """Have ``stale`` issued again; the result is in ``run``.

        Raises:
            CommandError: going on is pointless: no Certificate of a batch was issued again, or all
                of them are still stale.
            ClusterError: the cluster refuses, or can no longer be reached.
        """
        for start, group in self._groups(stale):
            before = len(run.done)
            for each in group:
                for request in each.dead:
                    self.pace.wait()
                    self.certificates.delete_request(each.certificate.namespace, request)
                self._ask(run, each.certificate)
            self._watch(run)
            self.tell(run)
            if len(run.done) == before and run.untouched:
                raise CommandError(
                    f"none of {len(group)} Certificates was issued again, so the others were not "
                    f"touched: {named(run.failed)}; see whether cert-manager runs and the issuer "
                    "is ready"
                )
            if start == 0:
                self._first_came_back_moved(group)

    def _groups(self, stale: Sequence[Stale]) -> Iterator[tuple[int, Sequence[Stale]]]:
        begin = 0
        if self.probe and stale:
            begin = 1
            yield 0, stale[:begin]
        for start in range(begin, len(stale), self.batch):
            yield start, stale[start : start + self.batch]

    def _ask(self, run: Run, certificate: Certificate) -> None:
        """Mark one Certificate, unless it needs no marking any more."""
        seen: Certificate | None = certificate
        for _ in range(_ATTEMPTS):
            if seen is None or seen.uid != certificate.uid or seen.revision > certificate.revision:
                run.done.append(certificate)
                return
            if seen.issuing:
                run.under_way[certificate.place] = certificate
                return
            self.pace.wait()
            try:
                self.certificates.mark_issuing(seen, message=self.message)
            except ConflictError:
                self.pace.wait()
                seen = self.certificates.certificate(certificate.namespace, certificate.name)
            else:
                run.under_way[certificate.place] = certificate
                return
        run.failed[certificate.place] = f"changed {_ATTEMPTS} times before it could be marked"

    def _watch(self, run: Run) -> None:
        """Wait until nothing is under way, or until the time is over."""
        end = self.pace.clock() + self.timeout.total_seconds()
        while run.under_way:
            sweep = self.pace.clock() + _SWEEP_SECONDS
            for place, before in list(run.under_way.items()):
                self.pace.wait()
                now = self.certificates.certificate(before.namespace, before.name)
                if now is None or now.uid != before.uid or now.revision > before.revision:
                    run.done.append(before)
                elif now.failure is not None:
                    run.failed[place] = now.failure
                else:
                    continue
                del run.under_way[place]
                self.tell(run)
            if self.pace.clock() >= end:
                late = f"was not issued within {int(self.timeout.total_seconds())} s"
                run.failed |= dict.fromkeys(run.under_way, late)
                run.under_way.clear()
            elif run.under_way:
                self.pace.sleep(max(0.0, sweep - self.pace.clock()))

    def _first_came_back_moved(self, group: Sequence[Stale]) -> None:
        still = {each.certificate.uid: each for each in self.moved()}
        back = [
            still[each.certificate.uid]
            for each in group
            if each.certificate.uid in still
            and still[each.certificate.uid].certificate.revision > each.certificate.revision
        ]
        if back:
            raise CommandError(
                f"{len(back)} Certificates were issued again by the old CA, so the others were "
                f"not touched: {named({one.certificate.place: one.why for one in back})}; the "
                "stable issuer does not have its new CA yet: run `pulumi up`, then this command "
                "again"
            )


def named(reasons: dict[str, str]) -> str:
    """Return one line with the first places and their reasons, and how many more there are."""
    shown = [f"{place} ({why})" for place, why in list(reasons.items())[:_NAMED]]
    more = len(reasons) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])
