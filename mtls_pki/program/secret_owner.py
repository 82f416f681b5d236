"""What only an update can see: whose the CA Secret is that it is about to write for the first time.

Evidence reads no Secret, so it knows of a CA Secret only by the issuers that sign with it. One that
stands alone is seen here, by its metadata: what it holds is not read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi

from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.ownership import find_object
from mtls_pki.program.guard import TrustGuard
from mtls_pki.program.threads import in_thread
from mtls_pki.rotation.evidence import ClusterEvidence
from mtls_pki.rotation.guards.ownership import one_owner
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.settings.judgement import decisive
from mtls_pki.settings.model import Settings


class SecretOwner:
    """Judges before a Secret of one cluster is created.

    Attributes:
        hook: raises where the Secret is there already and is not the stack's.
    """

    def __init__(self, settings: Settings, cluster: str, guard: TrustGuard) -> None:
        """Register the hook; names of clusters have no slash."""
        self._settings = settings
        self._cluster = cluster
        self._guard = guard
        self.hook = pulumi.ResourceHook(f"guard/secret/{cluster}", self._refuse)

    async def _refuse(self, args: pulumi.ResourceHookArgs) -> None:
        inputs: Any = args.new_inputs or {}
        metadata = inputs["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        opened = await self._guard.opened()
        evidence = opened.judge.evidence
        try:
            found = await in_thread(self._found, namespace, name, str(inputs.get("type", "Opaque")))
        except ClusterError as error:
            own = [each for one in evidence.reachable for each in one.owned]
            if any(self._proves(each) for each in own):
                return
            raise pulumi.RunError(
                f"refused: whether the Secret {namespace}/{name} is there already, and whose it "
                f"is, cannot be seen: {error.reason}. What to do: let this identity list the "
                "metadata of that Secret"
            ) from None
        if found is None:
            return
        seen = tuple(
            replace(each, owned=(*each.owned, found))
            if isinstance(each, ClusterEvidence) and each.cluster == self._cluster
            else each
            for each in evidence.clusters
        )
        verdict = decisive(opened.judge.verdicts(opened.new))
        refusals = one_owner(
            verdict.request, replace(evidence, clusters=seen), evidence.observed_at
        )
        self._guard.require(
            replace(verdict, refusals=tuple(refusals)), self._cluster, opened.judge.evidence
        )

    def _found(self, namespace: str, name: str, secret_type: str) -> OwnedObject | None:
        return find_object(
            Cluster(cluster_address(self._settings, self._cluster)),
            api_version="v1",
            kind="Secret",
            namespace=namespace,
            name=name,
            secret_type=secret_type,
        )

    def _proves(self, each: OwnedObject) -> bool:
        """Whether an issuer shows that the stack has written its Secret there before."""
        issuer = each.kind.endswith("Issuer") and each.cluster == self._cluster
        return issuer and self._settings.claim.holds(each.owner)
