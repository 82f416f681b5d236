"""The hooks by which everything that carries trust is judged: whoever acts is asked."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from mtls_pki.program.deletion import DeletionGuard
from mtls_pki.program.guard import TrustGuard
from mtls_pki.program.secret_owner import SecretOwner
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence
from mtls_pki.rotation.guards.ownership import unknown_record
from mtls_pki.rotation.report import refusal_message
from mtls_pki.rotation.stage import STAGE_KEY, StageError, TrustStage
from mtls_pki.settings.judgement import asked_stage, decisive
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stage_object_name

_ALSO_IN_PREVIEWS = pulumi.ResourceHookOptions(on_dry_run=True)


class KeyGuard:
    """Judges before the key of a root is made."""

    def __init__(self, settings: Settings, guard: TrustGuard) -> None:
        """Judge with ``guard``."""
        self._settings = settings
        self._guard = guard

    def hook(self, generation: str) -> pulumi.ResourceHook:
        """Return the hook for the key of ``generation``.

        It must not wait for the identity of the key that it is asked about. What is known without
        it is enough: a generation that a cluster records has a key, and this one is another. In a
        preview no key is made, and the gates say the same.
        """

        async def refuse_another_key(_: pulumi.ResourceHookArgs) -> None:
            evidence = await self._guard.evidence()
            new = asked_stage(self._settings, evidence, {generation: None})
            verdict = decisive(self._guard.judge(evidence).verdicts(new))
            if not verdict.allowed:
                self._guard.say_notices(verdict)
                raise pulumi.RunError(refusal_message(verdict))

        return pulumi.ResourceHook(f"guard/key/{generation}", refuse_another_key)


class ClusterGuard:
    """Judges what is written in one cluster.

    Attributes:
        cluster: its name.
        provider: hook of the provider, which stands for the cluster in the engine's state.
        gate: hook of the gate.
        behind: hook of all that distributes trust or issues, which the gate precedes.
        secret_owner: hook that judges before a Secret is created, beside ``behind``.
        deletion: what judges before something of it is deleted.
    """

    def __init__(
        self, settings: Settings, cluster: str, guard: TrustGuard, deletion: DeletionGuard
    ) -> None:
        """Register the hooks of ``cluster``; names of clusters have no slash."""
        self._settings = settings
        self.cluster = cluster
        self._guard = guard
        self._passed = False
        self._remembered: TrustStage | None = None
        self.provider = pulumi.ResourceHook(
            f"guard/cluster/{cluster}", self._at_cluster, _ALSO_IN_PREVIEWS
        )
        self.gate = pulumi.ResourceHook(f"guard-{cluster}", self._at_gate, _ALSO_IN_PREVIEWS)
        self.behind = pulumi.ResourceHook(
            f"guard/behind/{cluster}", self._behind_gate, _ALSO_IN_PREVIEWS
        )
        self.deletion = deletion
        self.secret_owner = SecretOwner(settings, cluster, guard).hook

    async def _at_gate(self, args: pulumi.ResourceHookArgs) -> None:
        self._remembered = _in_state(args)
        await self._require()
        self._passed = True

    async def _behind_gate(self, _: pulumi.ResourceHookArgs) -> None:
        evidence = await self._require()
        if not self._passed and _lacks_record(evidence, self.cluster):
            raise pulumi.RunError(
                f"refused: cluster {self.cluster} has no record of a stage (ConfigMap "
                f"{self._settings.issuing.cluster_resource_namespace}/"
                f"{stage_object_name(self._settings)}), and this run does not write it; nothing "
                "may issue or distribute trust without it. What to do: run `pulumi up --refresh` "
                "without --target and --exclude, which writes it first"
            )

    async def _at_cluster(self, _: pulumi.ResourceHookArgs) -> None:
        """Judge whether the cluster is new to the stack, before anything is made in it.

        It waits for no key: with ``--parallel 1`` the engine makes none meanwhile.
        """
        evidence = await self._guard.evidence()
        unknown = unknown_record(self._settings.claim, self.cluster, evidence)
        if unknown is not None:
            new = asked_stage(self._settings, evidence)
            verdict = decisive(self._guard.judge(evidence).verdicts(new))
            raise pulumi.RunError(refusal_message(replace(verdict, refusals=(unknown,))))

    async def _require(self) -> Evidence:
        # Before anything is refused: the engine may end the run at the first refusal.
        opened = await self._guard.opened()
        judge = opened.judge
        before = judge.stage_before(self.cluster, remembered=self._remembered)
        self._guard.require(judge.verdict(before, opened.new), self.cluster, judge.evidence)
        return judge.evidence


def _lacks_record(evidence: Evidence, cluster: str) -> bool:
    """Whether a cluster was read and has no stage on record."""
    return any(
        each.cluster == cluster
        and isinstance(each, ClusterEvidence)
        and (each.gate is None or each.gate.stage is None)
        for each in evidence.clusters
    )


def _in_state(args: pulumi.ResourceHookArgs) -> TrustStage | None:
    """The stage that the engine last applied, for a cluster whose gate cannot be read."""
    text = ((args.old_inputs or {}).get("data") or {}).get(STAGE_KEY)
    if not isinstance(text, str):
        return None
    try:
        return TrustStage.from_json(text, origin=f"state of {args.name}")
    except StageError:
        return None
