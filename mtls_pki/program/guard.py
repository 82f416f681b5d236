"""The guard that speaks in preview and ``up``: live evidence, read once, against the new stage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pulumi
from pulumi import Output

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.report import notice_message, refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import STAGE_KEY, StageError, TrustStage
from mtls_pki.rotation.verdict import Verdict, judge
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request, configured_stage


class TrustGuard:
    """Judges the change of stage that this run makes.

    Reading the clusters starts at once, beside the declaration of the resources, and happens once
    for all gates. Nothing is judged, and nothing said, before the engine knows the anchors.
    """

    def __init__(self, settings: Settings, fingerprints: Mapping[str, Output[str]]) -> None:
        """Start reading; errors of it become part of the evidence."""
        self._settings = settings
        self._fingerprints = fingerprints
        self._said: set[str] = set()
        self._refused: dict[str, str] = {}
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._evidence: Future[Evidence] = pool.submit(
            collect_evidence, settings, sources=sources_of(settings), warn=self._say_once
        )
        pool.shutdown(wait=False)

    def announce(self) -> None:
        """Say in every run, also where no stage changes, what a person must hear of the domain."""

        async def say() -> bool:
            evidence = await asyncio.wrap_future(self._evidence)
            recorded = [gate.stage for gate in evidence.gates if gate.stage is not None]
            self._say_notices(await self._judge(recorded[0] if recorded else None, evidence))
            return True

        # The engine waits for outputs, so the run does not end before this has been said.
        said: Output[bool] = Output.from_input(asyncio.ensure_future(say()))
        said.apply(lambda _: None)

    def hook(self, cluster: str) -> pulumi.ResourceHook:
        """Return the hook for the gate of ``cluster``; it raises where the change is refused."""

        async def refuse_unsafe(args: pulumi.ResourceHookArgs) -> None:
            evidence = await asyncio.wrap_future(self._evidence)
            verdict = await self._judge(_recorded(evidence, cluster) or _in_state(args), evidence)
            self._say_notices(verdict)
            if not verdict.allowed:
                raise pulumi.RunError(self._refusal(cluster, refusal_message(verdict)))

        return pulumi.ResourceHook(
            f"guard-{cluster}", refuse_unsafe, pulumi.ResourceHookOptions(on_dry_run=True)
        )

    async def _judge(self, old: TrustStage | None, evidence: Evidence) -> Verdict:
        known = {
            generation: await fingerprint.future()
            for generation, fingerprint in self._fingerprints.items()
        }
        request = change_request(
            self._settings, old=old, new=configured_stage(self._settings, known)
        )
        mode = Mode.PREVIEW if pulumi.runtime.is_dry_run() else Mode.UP
        return judge(request, evidence, now=evidence.observed_at, mode=mode)

    def _refusal(self, cluster: str, message: str) -> str:
        """The whole message once; other clusters refuse the same change for the same reasons."""
        first = self._refused.setdefault(message, cluster)
        return message if first == cluster else f"refused, for the reasons given for {first}"

    def _say_notices(self, verdict: Verdict) -> None:
        for notice in verdict.notices:
            self._say_once(notice_message(notice))

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            pulumi.log.warn(text)


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
