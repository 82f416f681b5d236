"""The guard that speaks in preview and ``up``: live evidence, read once, against the new stage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import pulumi
from pulumi import Output

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.sources.issuers import stack_issuers
from mtls_pki.program.threads import outstanding
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guard_report import Subject, observed_issuers, report_line
from mtls_pki.rotation.report import notice_message, refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import Verdict
from mtls_pki.settings.judgement import DomainJudge, asked_stage
from mtls_pki.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What every hook of a run judges by.

    Attributes:
        judge: with the evidence.
        new: the stage that the configuration asks for.
    """

    judge: DomainJudge
    new: TrustStage


class TrustGuard:
    """Judges the change of stage that this run makes, for all hooks.

    Reading the clusters starts at once, before anything is declared, and happens once.
    """

    def __init__(self, settings: Settings) -> None:
        """Start reading; errors of it become part of the evidence."""
        self._settings = settings
        self._mode = Mode.PREVIEW if pulumi.runtime.is_dry_run() else Mode.UP
        self._fingerprints: Mapping[str, Output[str]] = {}
        self._up_refuses = False
        self._said: set[str] = set()
        self._refused: dict[str, str] = {}
        self._reported: list[Verdict] = []
        self._judge: DomainJudge | None = None
        self._opening: asyncio.Future[Opened] | None = None
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._evidence: Future[Evidence] = pool.submit(
            collect_evidence, settings, sources=sources_of(settings)
        )
        pool.shutdown(wait=False)

    def remember(self, clusters: Callable[[], Mapping[str, str]]) -> None:
        """Add what the engine remembers to the evidence, where a cluster shows no record.

        Args:
            clusters: returns cluster -> UID that it had at the last update. Asking makes the engine
                note a provider of its own in the state, so a stack with records is left alone.
        """
        evidence = self._evidence.result()
        if all(each.gate is not None for each in evidence.reachable if each.uid is not None):
            return
        self._evidence = Future()
        self._evidence.set_result(replace(evidence, remembered=clusters()))

    def require_allowed(self) -> None:
        """Stop an update that is refused before it declares anything, keys included.

        Declaring alone would already leave something: the protection of an anchor that does not
        issue yet. A preview goes on: it makes nothing, and shows beside the refusal what would
        change. An identity that no cluster records is not known yet, so the hooks judge again.

        A preview stops as well where names do not reach the clusters that they mean: what it would
        declare, under two names of one cluster, is not even a picture.

        Raises:
            pulumi.RunError: a cluster refuses what is asked for, as `check` says it; with every
                reason.
        """
        if self._settings.given_up:
            return
        evidence = self.read()
        verdicts = self.judge(evidence).verdicts(asked_stage(self._settings, evidence))
        refused = [
            one
            for one in verdicts
            if one.of_other_clusters or (self._mode is Mode.UP and not one.allowed)
        ]
        if refused:
            for verdict in refused:
                self.say_notices(verdict)
            messages = dict.fromkeys(map(refusal_message, refused))
            raise pulumi.RunError("\n\n".join(messages))

    def announce(self, fingerprints: Mapping[str, Output[str]], *, up_refuses: bool) -> None:
        """Say in every run, also where no stage changes, what a person must hear of the domain.

        Args:
            fingerprints: generation -> identity of its anchor.
            up_refuses: `pulumi up` will stop before the guard is asked, for a cluster is not ready.
        """
        self._fingerprints = fingerprints
        self._up_refuses = up_refuses

        async def say() -> bool:
            await self.opened()
            return True

        outstanding(say())

    def read(self) -> Evidence:
        """Wait until the clusters are read, and return what they show."""
        return self._evidence.result()

    async def evidence(self) -> Evidence:
        """Return the evidence; nothing is judged, and nothing said, for that."""
        return await asyncio.wrap_future(self._evidence)

    def opened(self) -> asyncio.Future[Opened]:
        """Return what hooks judge by, once the report on what clusters record has been sent.

        It waits for the fingerprints of all anchors, so no hook may wait for it that a key waits
        for.
        """
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return self._opening

    def judge(self, evidence: Evidence) -> DomainJudge:
        """Return what judges in this run, and remembers its verdicts."""
        if self._judge is None:
            self._judge = DomainJudge(self._settings, evidence, self._mode)
        return self._judge

    def require(self, verdict: Verdict, place: str, evidence: Evidence) -> None:
        """Return if ``verdict`` allows the change.

        Args:
            verdict: on what is about to be done.
            place: where, for the echoes of a refusal.
            evidence: that it was judged by.

        Raises:
            pulumi.RunError: it is refused; with the whole message for the first place.
        """
        self.say_notices(verdict)
        if verdict.allowed:
            return
        # A stage that no cluster records, for the only one that does cannot be read.
        if verdict not in self._reported:
            self._report((verdict,), evidence)
        raise pulumi.RunError(self._refusal(place, refusal_message(verdict)))

    def say_notices(self, verdict: Verdict) -> None:
        """Say everything that a person must hear beside the verdict, each thing once."""
        self._say(map(notice_message, verdict.notices))

    async def _open(self) -> Opened:
        evidence = await self.evidence()
        new = asked_stage(self._settings, evidence, await self._made())
        judge = self.judge(evidence)
        verdicts = judge.verdicts(new)
        self.say_notices(verdicts[0])
        self._report(verdicts, evidence)
        return Opened(judge=judge, new=new)

    async def _made(self) -> dict[str, str | None]:
        """The identities of all anchors; None where a preview cannot know a key."""
        return {
            generation: await fingerprint.future()
            for generation, fingerprint in self._fingerprints.items()
        }

    def _report(self, verdicts: Sequence[Verdict], evidence: Evidence) -> None:
        """Hand the verdicts on to whoever reads the preview's JSON; `pulumi up` makes none."""
        self._reported += verdicts
        if self._mode is not Mode.PREVIEW:
            return
        declared = {
            issuer.name: generation for issuer, generation in stack_issuers(self._settings).items()
        }
        request = verdicts[0].request
        olds = (verdict.request.old for verdict in verdicts)
        stages = [stage for stage in (request.new, *olds) if stage is not None]
        issuing = self._settings.issuing
        subject = Subject(
            stage=request.new,
            issuers=observed_issuers(evidence.leaves, stages) | declared,
            stable_issuer=issuing.name if issuing.stable else "",
            up_refuses=self._up_refuses,
            echoes=tuple(map(_echo, self._settings.clusters)),
            undeclared=tuple(each.key for each in evidence.undeclared),
        )
        pulumi.log.info(report_line(verdicts, subject, at=evidence.observed_at))

    def _refusal(self, place: str, message: str) -> str:
        """The whole message once; other places refuse the same change for the same reasons."""
        if message not in self._refused:
            self._refused[message] = place
            return message
        return _echo(self._refused[message])

    def _say(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._said:
                self._said.add(text)
                pulumi.log.warn(text)


def _echo(place: str) -> str:
    return f"refused, for the reasons given for {place}"
