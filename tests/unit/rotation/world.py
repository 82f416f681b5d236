"""A small model of clusters, kubelets, cert-manager and workloads, to drive the guards against.

It is written from how the real parts behave, not from the guards:

* a workload is server and client; it mounts the bundle of its namespace and its own leaf;
* kubelet brings each change of either to it after a delay of at most the hold-down, in order;
* cert-manager reissues when the issuer reference changed, or at two thirds of a leaf's life;
* a leaf that the stack does not declare hangs on a stable issuer, which it follows only when
  somebody makes cert-manager reissue it, or when it renews; or it names the issuer of a generation,
  which goes on signing for as long as the generation is trusted and not incoming;
* a Certificate may be deleted: its Secret stays, and the workload goes on with its last leaf;
* a pod may get its leaf at its start, from a request that is gone again as soon as it is signed;
* an update changes the stage record of each cluster first, then bundles and issuers in any order,
  and may be killed after any single operation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from mtls_pki.rotation.domain import Domain
from mtls_pki.rotation.evidence import (
    BundleMember,
    BundleObservation,
    BundlePlace,
    BundleProblem,
    ClusterEvidence,
    ClusterUnreachable,
    Evidence,
    GateObservation,
    IssuerObservation,
    LeafObservation,
    Untraceable,
)
from mtls_pki.rotation.guards.observed import LEFT_BEHIND
from mtls_pki.rotation.request import AnchorFacts, ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import TrustStage
from tests.unit.rotation.cases import NOW, YEAR, fingerprint, place

HOLD_DOWN = timedelta(seconds=60)
LIFETIME = timedelta(seconds=1200)
LONGEST = 3 * LIFETIME
END = NOW + 10 * YEAR

_DOMAIN = Domain(
    owner="model/model",
    trust_domain="model",
    clusters={},
    bundles=frozenset(),
    namespaces=frozenset(),
    issuers={},
    hold_down=HOLD_DOWN,
    longest_lifetime=LONGEST,
)

T = TypeVar("T")
Judge = Callable[[ChangeRequest, Evidence, datetime], bool]


class OutageError(AssertionError):
    """A workload presents a live leaf that another one, which talks to it, does not trust."""


@dataclass(kw_only=True)
class Mounted(Generic[T]):
    """A file in a pod: the value that it shows, and the values that are on their way to it."""

    shown: T | None = None
    coming: list[tuple[datetime, T]] = field(default_factory=list)

    def send(self, value: T, at: datetime) -> None:
        """Let kubelet bring ``value`` at ``at``, but not before what was sent earlier."""
        self.coming.append((max([at, *(when for when, _ in self.coming)]), value))

    def settle(self, now: datetime) -> None:
        """Show what has arrived."""
        while self.coming and self.coming[0][0] <= now:
            self.shown = self.coming.pop(0)[1]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    generation: str
    issued: datetime
    lifetime: timedelta = LIFETIME

    @property
    def renews(self) -> datetime:
        return self.issued + self.lifetime * 2 / 3

    @property
    def ends(self) -> datetime:
        return self.issued + self.lifetime


@dataclass(kw_only=True)
class Workload:
    """A service: ``wants`` is its issuer's generation, None for the stable issuer.

    ``wants_since`` is when its issuerRef changed. ``deleted``: only its Secret is left. ``pod``: it
    is a pod, whose requests do not stay.
    """

    name: str
    where: BundlePlace
    declared: bool
    wants: str | None = None
    wants_since: datetime = NOW
    lifetime: timedelta = LIFETIME
    revision: int = 0
    deleted: bool = False
    pod: bool = False
    leaf: Leaf | None = None
    trust: Mounted[frozenset[str]] = field(default_factory=Mounted)
    identity: Mounted[Leaf] = field(default_factory=Mounted)


@dataclass(kw_only=True)
class Cluster:
    """Its recorded stage, its stable issuer's generation, and its bundles by place."""

    name: str
    gate: TrustStage | None = None
    gate_changed_at: datetime = NOW
    stable: str | None = None
    stable_since: datetime = NOW
    bundles: dict[BundlePlace, tuple[frozenset[str], datetime]] = field(default_factory=dict)


class World:
    """Two clusters, a place each (a third can join), a declared and an undeclared leaf a place.

    ``traceable`` says whether Secrets whose Certificate is gone are seen.
    """

    def __init__(self, *, traceable: bool = True) -> None:
        self.traceable = traceable
        self.now = NOW
        self.clusters = {name: Cluster(name=name) for name in ("dev", "eu")}
        self.places = [place("dev"), place("eu")]
        self.workloads: list[Workload] = []
        for where in self.places:
            self._deploy(where)

    def _deploy(self, where: BundlePlace) -> None:
        for declared in (True, False):
            name = f"{where.cluster}-{where.namespace}-{'own' if declared else 'team'}"
            self.workloads.append(Workload(name=name, where=where, declared=declared))

    # What the program sees

    def evidence(self, unreachable: str | None = None) -> Evidence:
        seen: list[ClusterEvidence | ClusterUnreachable] = []
        for cluster in self.clusters.values():
            if cluster.name == unreachable:
                seen.append(ClusterUnreachable(cluster=cluster.name, error="timeout"))
                continue
            gate = GateObservation(
                cluster=cluster.name, stage=cluster.gate, changed_at=cluster.gate_changed_at
            )
            seen.append(
                ClusterEvidence(
                    cluster=cluster.name,
                    bundles=tuple(self._bundles(cluster)),
                    leaves=tuple(self._leaves(cluster)),
                    gate=gate if cluster.gate else None,
                    issuers=tuple(self._issuers(cluster)),
                    untraceable=tuple(self._untraceable(cluster)),
                )
            )
        return Evidence(observed_at=self.now, clusters=tuple(seen))

    def _bundles(self, cluster: Cluster) -> Iterator[BundleObservation]:
        for where in self.places:
            if where.cluster != cluster.name:
                continue
            if where not in cluster.bundles:
                yield BundleObservation(
                    place=where, members=(), changed_at=None, problem=BundleProblem.MISSING
                )
                continue
            generations, changed_at = cluster.bundles[where]
            members = tuple(
                BundleMember(
                    fingerprint=fingerprint(g), subject=f"CN={g}", not_after=END, self_signed=True
                )
                for g in sorted(generations)
            )
            yield BundleObservation(place=where, members=members, changed_at=changed_at)

    def _leaves(self, cluster: Cluster) -> Iterator[LeafObservation]:
        for workload in self.workloads:
            leaf = workload.leaf
            if workload.where.cluster != cluster.name or leaf is None or workload.pod:
                continue
            if workload.deleted and not self.traceable:
                continue
            changed = workload.wants_since if workload.wants else cluster.stable_since
            first = workload.revision == 1 or workload.deleted
            yield LeafObservation(
                cluster=cluster.name,
                namespace=workload.where.namespace,
                name=workload.name,
                kind=LEFT_BEHIND if workload.deleted else "Certificate",
                declared=workload.declared and not workload.deleted,
                signers=frozenset({fingerprint(leaf.generation)}),
                issuer="ClusterIssuer/mtls-ca",
                not_before=None if workload.deleted else leaf.issued,
                not_after=leaf.issued + LONGEST if workload.deleted else leaf.ends,
                issued_at=leaf.issued,
                revision=workload.revision,
                predecessor=frozenset() if first else None,
                issuer_since=changed,
            )

    def _issuers(self, cluster: Cluster) -> Iterator[IssuerObservation]:
        if cluster.stable is not None:
            yield IssuerObservation(
                cluster=cluster.name,
                namespace=None,
                name="mtls-ca",
                kind="ClusterIssuer",
                ready=True,
                reason="",
                message="",
                generation=cluster.stable,
                changed_at=cluster.stable_since,
            )

    def _untraceable(self, cluster: Cluster) -> Iterator[Untraceable]:
        if not self.traceable:
            yield Untraceable(
                namespace="", kind=LEFT_BEHIND, name="", reason="they cannot be listed"
            )
        if any(each.pod and each.where.cluster == cluster.name for each in self.workloads):
            yield Untraceable(
                namespace="", kind="ClusterIssuer", name="mtls-ca", reason="its requests vanish"
            )

    # What the program does

    def update(
        self,
        target: TrustStage,
        judge: Judge,
        chance: random.Random,
        *,
        unreachable: str | None = None,
        join: bool = False,
        killed_after: int | None = None,
    ) -> bool:
        """Apply ``target`` as ``pulumi up`` does; return whether all of it was applied."""
        if join and len(self.places) == 2:
            self.places.append(place("eu", "late"))
            self._deploy(self.places[-1])
        seen = self.evidence(unreachable)
        queues: list[list[Callable[[], bool]]] = [
            [lambda c=c: self._gate(c, target, judge, seen), *self._apply(c, target, chance)]  # type: ignore[misc]
            for c in self.clusters.values()
            if c.name != unreachable
        ]
        done = 0
        while any(queues):
            if killed_after is not None and done >= killed_after:
                return False
            if not chance.choice([queue for queue in queues if queue]).pop(0)():
                return False
            done += 1
        return unreachable is None

    def _gate(self, cluster: Cluster, target: TrustStage, judge: Judge, seen: Evidence) -> bool:
        if cluster.gate == target:
            return True
        facts = {
            g: AnchorFacts(common_name=g, not_before=NOW - YEAR, not_after=END)
            for g in target.anchors
        }
        request = ChangeRequest(
            trust_domain="model",
            old=cluster.gate,
            new=target,
            facts=facts,
            places=tuple(self.places),
            hold_down=HOLD_DOWN,
            domain=_DOMAIN,
        )
        if not judge(request, seen, self.now):
            return False
        cluster.gate, cluster.gate_changed_at = target, self.now
        return True

    def _apply(
        self, cluster: Cluster, target: TrustStage, chance: random.Random
    ) -> list[Callable[[], bool]]:
        trusted = frozenset(target.trusted)
        operations: list[Callable[[], bool]] = []

        def stable() -> bool:
            if cluster.stable != target.issuing:
                cluster.stable, cluster.stable_since = target.issuing, self.now
            return True

        operations.append(stable)
        for where in self.places:
            if where.cluster == cluster.name:

                def write(where: BundlePlace = where) -> bool:
                    held = cluster.bundles.get(where)
                    if held is None or held[0] != trusted:
                        cluster.bundles[where] = (trusted, self.now)
                        self._spread(where, trusted, chance)
                    return True

                operations.append(write)
        for workload in self.workloads:
            if workload.where.cluster == cluster.name and workload.declared:

                def point(workload: Workload = workload) -> bool:
                    self.name_issuer(workload, target.canaries.get(workload.name, target.issuing))
                    return True

                operations.append(point)
        chance.shuffle(operations)
        return operations

    def _spread(self, where: BundlePlace, trusted: frozenset[str], chance: random.Random) -> None:
        for workload in self.workloads:
            if workload.where == where:
                workload.trust.send(trusted, self.now + chance.random() * HOLD_DOWN)

    # What happens by itself

    def reissue(self, workload: Workload, chance: random.Random) -> None:
        """cert-manager issues from whatever the workload's issuer is now."""
        generation = self._signer(workload)
        if generation is not None and not workload.deleted:
            workload.leaf = Leaf(generation=generation, issued=self.now, lifetime=workload.lifetime)
            workload.revision += 1
            delay = 0 if workload.pod else chance.random()
            workload.identity.send(workload.leaf, self.now + delay * HOLD_DOWN)

    def _signer(self, workload: Workload) -> str | None:
        cluster = self.clusters[workload.where.cluster]
        if workload.declared or workload.wants is None:
            return workload.wants if workload.declared else cluster.stable
        role = cluster.gate.role(workload.wants) if cluster.gate else None
        return workload.wants if role in {Role.ISSUING, Role.OUTGOING} else None

    def name_issuer(self, workload: Workload, generation: str | None) -> None:
        """Change a Certificate's issuerRef."""
        if workload.wants != generation:
            workload.wants, workload.wants_since = generation, self.now

    def start_pod(self, where: BundlePlace, chance: random.Random) -> None:
        """Start a pod that gets its leaf from the stable issuer and mounts what the bundle is."""
        held = self.clusters[where.cluster].bundles.get(where)
        name = f"pod-{len(self.workloads)}"
        pod = Workload(name=name, where=where, declared=False, pod=True)
        pod.trust.shown = held[0] if held else None
        self.workloads.append(pod)
        self.reissue(pod, chance)

    def cert_manager(self, chance: random.Random) -> None:
        """Reissue declared leaves whose issuer changed, and whatever is due for renewal."""
        for workload in self.workloads:
            leaf = workload.leaf
            named = workload.wants or (leaf and leaf.generation)
            moved = leaf is not None and named != leaf.generation
            if leaf is None or moved or leaf.renews <= self.now:
                self.reissue(workload, chance)

    def wait(self, duration: timedelta, chance: random.Random) -> None:
        """Let time pass; nothing expires unnoticed, as cert-manager renews in time."""
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + timedelta(seconds=20))
            for workload in self.workloads:
                if workload.leaf and workload.leaf.renews <= self.now:
                    self.reissue(workload, chance)
            self.settle()
            self.check()

    def settle(self) -> None:
        """Let what has arrived be seen."""
        for workload in self.workloads:
            workload.trust.settle(self.now)
            workload.identity.settle(self.now)

    def check(self) -> None:
        """Every workload that runs talks to every other, now.

        Raises:
            OutageError: one of them is refused.
        """
        running = [w for w in self.workloads if w.trust.shown is not None]
        for server in running:
            leaf = server.identity.shown
            if leaf is None or leaf.ends <= self.now:
                continue
            for client in running:
                trust = client.trust.shown or frozenset()
                if leaf.generation not in trust:
                    raise OutageError(
                        f"{server.name} presents a leaf of {leaf.generation}; "
                        f"{client.name} trusts {sorted(trust)}"
                    )
