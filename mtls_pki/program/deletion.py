"""What an option of the engine must not take away: bundles, gates and issuers that are in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import Input, Output

from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.ownership import find_object
from mtls_pki.components.kubernetes_options import GuardedObject
from mtls_pki.program.guard import TrustGuard
from mtls_pki.program.threads import in_thread
from mtls_pki.rotation.guards.deletion import Need, every_leaf, leaves_in_need
from mtls_pki.settings.judgement import decisive
from mtls_pki.settings.model import Settings

_NAMED_LEAVES = 3


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """An object that the configuration asks for."""

    cluster: str
    namespace: str | None
    name: Input[str]
    needed_by: Need
    part: str | None

    async def is_at(self, namespace: object, name: object) -> bool:
        """Whether the object of this place is meant."""
        own = await Output.from_input(self.name).future()
        return (self.namespace, own) == (namespace, name)

    def given_up_by(self, name: str) -> set[str]:
        """The entries of ``abandon`` that let it go, if it has this name."""
        entries = {f"cluster/{self.cluster}", self.part or f"bundle/{name}"}
        return entries | ({f"namespace/{self.namespace}"} if self.namespace else set())


class DeletionGuard:
    """Judges before the engine deletes or replaces an object that carries trust.

    An object that the configuration still asks for goes only by an option of the engine
    (``--replace``, ``destroy``): that is refused while somebody needs it. One that the
    configuration no longer asks for goes by the same verdict as every other change.

    Attributes:
        binding: the hook, to be bound to such objects; None where the stack is abandoned, so that
            ``pulumi destroy`` needs no program.
    """

    def __init__(self, settings: Settings, guard: TrustGuard) -> None:
        """Register the hook, in every run and by one name.

        The state keeps the name for objects whose cluster has left the configuration.
        """
        self._settings = settings
        self._guard = guard
        self._kept: dict[tuple[str, str], _Kept] = {}
        hook = pulumi.ResourceHook(
            "guard/delete", self._refuse, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        self.binding = None if settings.given_up else hook

    def keep(
        self,
        cluster: str,
        guarded: Iterable[GuardedObject],
        *,
        needed_by: Need = every_leaf,
        part: str | None = None,
    ) -> None:
        """Note what the configuration asks for.

        Args:
            cluster: where the objects are.
            guarded: the objects.
            needed_by: which leaves need them.
            part: what ``abandon`` calls them, such as ``issuer/Issuer/mtls-ca-g1-i1``; None for a
                bundle.
        """
        for each in guarded:
            resource = each.resource
            key = resource.pulumi_resource_type, resource.pulumi_resource_name
            self._kept[key] = _Kept(
                cluster=cluster,
                namespace=each.namespace,
                name=each.name,
                needed_by=needed_by,
                part=part,
            )

    async def _refuse(self, args: pulumi.ResourceHookArgs) -> None:
        await in_thread(self._require_own, args)
        if self._settings.given_up:
            return
        kept = self._kept.get((args.type, args.name))
        metadata = (args.old_inputs or {}).get("metadata") or {}
        namespace, name = metadata.get("namespace"), str(metadata.get("name"))
        if kept is None or not await kept.is_at(namespace, name):
            opened = await self._guard.opened()
            judge = opened.judge
            verdict = decisive(judge.verdicts(opened.new))
            self._guard.require(verdict, "what leaves the stack", judge.evidence)
        elif not kept.given_up_by(name) & {*self._settings.abandon}:
            path = "/".join(part for part in (namespace, name) if part)
            await self._require_unneeded(kept, f"{args.type.rpartition(':')[2]} {path}")

    def _require_own(self, args: pulumi.ResourceHookArgs) -> None:
        """Spare what another stack has taken over since."""
        inputs: Any = args.old_inputs or {}
        cluster = self._cluster_of(args.name)
        if cluster is None or "metadata" not in inputs:
            return
        try:
            found = find_object(
                Cluster(cluster_address(self._settings, cluster)),
                api_version=inputs["apiVersion"],
                kind=inputs["kind"],
                namespace=inputs["metadata"].get("namespace"),
                name=inputs["metadata"]["name"],
            )
        except ClusterError:
            return  # The deletion fails by itself, or the verdict says what was not read.
        if found is not None and found.owner and not self._settings.claim.holds(found.owner):
            raise pulumi.RunError(
                f"refused: {found.entry} belongs to {found.owner} now, and is not deleted. What to "
                f"do: `pulumi state delete '{args.urn}'`, which leaves the object alone"
            )

    def _cluster_of(self, resource: str) -> str | None:
        """The cluster of the configuration whose name a resource's begins with."""
        named = [
            each
            for each in self._settings.clusters
            if resource.startswith((f"{each}-", f"{each}/"))
        ]
        return max(named, key=len, default=None)

    async def _require_unneeded(self, kept: _Kept, what: str) -> None:
        evidence = await self._guard.evidence()
        needing = leaves_in_need(evidence, evidence.observed_at, kept.needed_by)
        named = [
            f"{leaf.cluster}/{leaf.namespace} {leaf.kind} {leaf.name}"
            for leaf in needing[:_NAMED_LEAVES]
        ]
        if len(needing) > _NAMED_LEAVES:
            named.append(f"{len(needing) - _NAMED_LEAVES} more")
        unread = [f"cluster {each.cluster} cannot be read" for each in evidence.unreachable]
        if not named and not unread:
            return
        raise pulumi.RunError(
            f"refused: {what} of cluster {kept.cluster} is to be deleted or replaced, but "
            f"the stack file asks for it, and it is in use: {'; '.join([*unread, *named])}. What "
            "to do: leave out --replace or --target; or say in the stack file what is given up on "
            "purpose, such as abandon: [stack] before `pulumi destroy`"
        )
