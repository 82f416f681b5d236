"""The guard that speaks in preview and ``up``: live evidence, read once, against the new stage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pulumi
from pulumi import Output

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.sources.issuers import stack_issuers
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guard_report import Subject, observed_issuers, report_line
from mtls_pki.rotation.report import notice_message, refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import STAGE_KEY, StageError, TrustStage
from mtls_pki.rotation.verdict import Verdict, judge
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request, configured_stage


class TrustGuard:
    """Judges the change of stage that this run makes.

    Reading the clusters starts at once, while the resources are declared, and happens once for all
    gates. Nothing is judged, and nothing said, before the engine knows the anchors.
    """

    def __init__(
        self,
        settings: Settings,
        fingerprints: Mapping[str, Output[str]],
        *,
        up_refuses: bool = False,
    ) -> None:
        """Start reading; errors of it become part of the evidence.

        Args:
            settings: the stack's settings.
            fingerprints: generation -> identity of its anchor.
            up_refuses: `pulumi up` will stop before the guard is asked, for a cluster is not ready.
        """
        self._settings = settings
        self._fingerprints = fingerprints
        self._up_refuses = up_refuses
        self._said: set[str] = set()
        self._refused: dict[str, str] = {}
        self._verdicts: dict[TrustStage | None, Verdict] = {}
        self._reported: list[Verdict] = []
        self._opening: asyncio.Future[Evidence] | None = None
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._evidence: Future[Evidence] = pool.submit(
            collect_evidence, settings, sources=sources_of(settings)
        )
        pool.shutdown(wait=False)

    @property
    def evidence(self) -> Output[Evidence]:
        """What the clusters show, once it is read."""
        return Output.from_input(asyncio.wrap_future(self._evidence))

    def announce(self) -> None:
        """Say in every run, also where no stage changes, what a person must hear of the domain."""

        async def say() -> bool:
            await self._opened()
            return True

        # The engine waits for outputs, so the run does not end before this has been said.
        said: Output[bool] = Output.from_input(asyncio.ensure_future(say()))
        said.apply(lambda _: None)

    def hook(self, cluster: str) -> pulumi.ResourceHook:
        """Return the hook for the gate of ``cluster``; it raises where the change is refused."""

        async def refuse_unsafe(args: pulumi.ResourceHookArgs) -> None:
            # Before anything is refused: the engine may end the run at the first refusal.
            evidence = await self._opened()
            verdict = await self._judge(_recorded(evidence, cluster) or _in_state(args), evidence)
            self._say_notices(verdict)
            if not verdict.allowed:
                # A stage that no cluster records, for the only one that does cannot be read.
                if verdict not in self._reported:
                    self._report((verdict,), evidence)
                raise pulumi.RunError(self._refusal(cluster, refusal_message(verdict)))

        return pulumi.ResourceHook(
            f"guard-{cluster}", refuse_unsafe, pulumi.ResourceHookOptions(on_dry_run=True)
        )

    def _opened(self) -> asyncio.Future[Evidence]:
        """Return the evidence, once the report on what clusters record has been sent."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return self._opening

    async def _open(self) -> Evidence:
        evidence = await asyncio.wrap_future(self._evidence)
        recorded = dict.fromkeys(gate.stage for gate in evidence.gates if gate.stage is not None)
        verdicts = [await self._judge(old, evidence) for old in (*recorded,) or (None,)]
        self._say_notices(verdicts[0])
        self._report(verdicts, evidence)
        return evidence

    async def _judge(self, old: TrustStage | None, evidence: Evidence) -> Verdict:
        new = await self._new_stage()
        if old not in self._verdicts:
            request = change_request(self._settings, evidence, old=old, new=new)
            mode = Mode.PREVIEW if pulumi.runtime.is_dry_run() else Mode.UP
            self._verdicts[old] = judge(request, evidence, now=evidence.observed_at, mode=mode)
        return self._verdicts[old]

    async def _new_stage(self) -> TrustStage:
        known = {
            generation: await fingerprint.future()
            for generation, fingerprint in self._fingerprints.items()
        }
        return configured_stage(self._settings, known)

    def _report(self, verdicts: Sequence[Verdict], evidence: Evidence) -> None:
        """Hand the verdicts on to whoever reads the preview's JSON; `pulumi up` makes none."""
        self._reported += verdicts
        if not pulumi.runtime.is_dry_run():
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
        )
        pulumi.log.info(report_line(verdicts, subject, at=evidence.observed_at))

    def _refusal(self, cluster: str, message: str) -> str:
        """The whole message once; other clusters refuse the same change for the same reasons."""
        first = self._refused.setdefault(message, cluster)
        return message if first == cluster else _echo(first)

    def _say_notices(self, verdict: Verdict) -> None:
        for notice in verdict.notices:
            self._say_once(notice_message(notice))

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            pulumi.log.warn(text)


def _echo(cluster: str) -> str:
    return f"refused, for the reasons given for {cluster}"


def _recorded(evidence: Evidence, cluster: str) -> TrustStage | None:
    return next((gate.stage for gate in evidence.gates if gate.cluster == cluster), None)


def _in_state(args: pulumi.ResourceHookArgs) -> TrustStage | None:
    """The stage that the engine last applied, for a cluster whose gate cannot be read."""
    text = ((args.old_inputs or {}).get("data") or {}).get(STAGE_KEY)
    if not isinstance(text, str):
        return None
    try:
        return TrustStage.from_json(text, origin=f"state of {args.name}")
    except StageError:
        return None
