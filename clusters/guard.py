"""The guard that speaks in preview and ``up``: live evidence, read once, against the new stage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pulumi
from pulumi import Output

from clusters.evidence import collect_evidence
from rotation.evidence import Evidence
from rotation.report import notice_message, refusal_message
from rotation.request import Mode
from rotation.stage import StageError, TrustStage
from rotation.verdict import Verdict, judge
from settings.model import Settings
from settings.names import STAGE_KEY
from settings.trust_domain import change_request, configured_stage


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
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._evidence: Future[Evidence] = pool.submit(collect_evidence, settings)
        pool.shutdown(wait=False)

    def hook(self, cluster: str) -> pulumi.ResourceHook:
        """Return the hook for the gate of ``cluster``; it raises where the change is refused."""

        async def refuse_unsafe(args: pulumi.ResourceHookArgs) -> None:
            verdict = await self._verdict(cluster, args)
            for notice in verdict.notices:
                self._say_once(notice_message(notice))
            if not verdict.allowed:
                raise Exception(refusal_message(verdict))

        return pulumi.ResourceHook(
            f"guard-{cluster}", refuse_unsafe, pulumi.ResourceHookOptions(on_dry_run=True)
        )

    async def _verdict(self, cluster: str, args: pulumi.ResourceHookArgs) -> Verdict:
        evidence = await asyncio.wrap_future(self._evidence)
        known = {
            generation: await fingerprint.future()
            for generation, fingerprint in self._fingerprints.items()
        }
        request = change_request(
            self._settings,
            old=_recorded(evidence, cluster) or _in_state(args),
            new=configured_stage(self._settings, known),
        )
        mode = Mode.PREVIEW if pulumi.runtime.is_dry_run() else Mode.UP
        return judge(request, evidence, now=datetime.now(UTC), mode=mode)

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
