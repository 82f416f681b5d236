"""No reachable state has a live leaf that a verifier who talks to it does not trust.

A stateful search drives random changes of the configuration against a model world with random
propagation delays, late reissues, lagging clusters and kills in the middle of an update. The same
search with a guard switched off must find an outage, else it would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mtls_pki.rotation import verdict
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards import leaving
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.transitions import next_stages
from mtls_pki.rotation.verdict import judge
from tests.unit.rotation.cases import fingerprint, stage
from tests.unit.rotation.world import HOLD_DOWN, OutageError, World

CHANCE = st.integers(0, 2**32).map(random.Random)
KILLED = st.sampled_from([None, None, None, *range(12)])
CLUSTERS = st.sampled_from([None] * 8 + ["dev", "eu"])
ROLES = st.dictionaries(
    st.sampled_from(["g1", "g2", "g3"]), st.sampled_from(["incoming", "issuing", "outgoing"])
)


def guarded(request: ChangeRequest, seen: Evidence, now: datetime) -> bool:
    return judge(request, seen, now=now, mode=Mode.UP).allowed


def unguarded(request: ChangeRequest, seen: Evidence, now: datetime) -> bool:
    return True


class Rotations(RuleBasedStateMachine):
    """A person who edits roles at will, and a world that takes its time."""

    decide = staticmethod(guarded)

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.stage = stage(g1="issuing")
        self.history = [self.stage]

    @initialize(chance=CHANCE)
    def bootstrap(self, chance: random.Random) -> None:
        assert self.world.update(self.stage, self.decide, chance)
        self.world.cert_manager(chance)
        self.world.wait(HOLD_DOWN, chance)

    def _update(self, target: TrustStage, chance: random.Random, **how: object) -> None:
        self.world.update(target, self.decide, chance, **how)  # type: ignore[arg-type]
        if any(cluster.gate == target for cluster in self.world.clusters.values()):
            self.stage = target
            self.history.append(target)

    @rule(chance=CHANCE, killed=KILLED, unreachable=CLUSTERS, join=st.booleans())
    def step_forward(
        self, chance: random.Random, killed: int | None, unreachable: str | None, join: bool
    ) -> None:
        offered = [after for _, after in next_stages(self.stage)]
        if not offered:
            newest = f"g{len(self.history) + 1}"
            anchor = Anchor(role=Role.INCOMING, fingerprint=fingerprint(newest))
            offered = [TrustStage(anchors={**self.stage.anchors, newest: anchor})]
        self._update(offered[0], chance, killed_after=killed, unreachable=unreachable, join=join)

    @precondition(lambda self: len(self.history) > 1)
    @rule(chance=CHANCE, killed=KILLED)
    def revert(self, chance: random.Random, killed: int | None) -> None:
        self._update(self.history[-2], chance, killed_after=killed)

    @rule(chance=CHANCE, killed=KILLED, unreachable=CLUSTERS, roles=ROLES)
    def edit_anything(
        self,
        chance: random.Random,
        killed: int | None,
        unreachable: str | None,
        roles: dict[str, str],
    ) -> None:
        self._update(stage(**roles), chance, killed_after=killed, unreachable=unreachable)

    @precondition(lambda self: len(self.stage.anchors) > 1)
    @rule(chance=CHANCE, killed=KILLED, data=st.data())
    def set_canary(self, chance: random.Random, killed: int | None, data: st.DataObject) -> None:
        service = data.draw(st.sampled_from([w.name for w in self.world.workloads if w.declared]))
        named = data.draw(st.sampled_from([None, *self.stage.anchors]))
        canaries = {service: named} if named else {}
        self._update(
            TrustStage(anchors=self.stage.anchors, canaries=canaries), chance, killed_after=killed
        )

    @rule(chance=CHANCE, seconds=st.integers(0, 130))
    def catch_up(self, chance: random.Random, seconds: int) -> None:
        """What a patient person does: finish the update, have everything reissued, wait."""
        self._update(self.stage, chance)
        for workload in self.world.workloads:
            self.world.reissue(workload, chance)
        self.world.wait(timedelta(seconds=seconds), chance)

    @rule(chance=CHANCE)
    def cert_manager(self, chance: random.Random) -> None:
        self.world.cert_manager(chance)

    @rule(chance=CHANCE, which=st.integers(0, 9))
    def reissue(self, chance: random.Random, which: int) -> None:
        self.world.reissue(self.world.workloads[which % len(self.world.workloads)], chance)

    @rule(chance=CHANCE, seconds=st.sampled_from([1, 15, 40, 61, 90, 600]))
    def wait(self, chance: random.Random, seconds: int) -> None:
        self.world.wait(timedelta(seconds=seconds), chance)

    @rule(which=st.integers(0, 9))
    def delete_a_bundle(self, which: int) -> None:
        where = self.world.places[which % len(self.world.places)]
        self.world.clusters[where.cluster].bundles.pop(where, None)

    @invariant()
    def every_handshake_succeeds(self) -> None:
        self.world.settle()
        self.world.check()


SEARCH = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
)


def test_no_reachable_state_breaks_a_handshake() -> None:
    run_state_machine_as_test(Rotations, settings=SEARCH)


def never(*_: object, **__: object) -> bool:
    return False


@pytest.mark.parametrize("guard", ["held_everywhere", "no_live_leaf"])
def test_the_search_finds_an_outage_without_either_guard(
    monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    others = tuple(each for each in verdict.GUARDS if each.__name__ != guard)
    assert len(others) == len(verdict.GUARDS) - 1
    monkeypatch.setattr(verdict, "GUARDS", others)
    with pytest.raises(OutageError):
        run_state_machine_as_test(
            Rotations, settings=settings(SEARCH, max_examples=2000, phases=[Phase.generate])
        )


STEADY, ADDED = stage(g1="issuing"), stage(g1="issuing", g2="incoming")
PROMOTED, DONE = stage(g1="outgoing", g2="issuing"), stage(g2="issuing")


def hasty(path: tuple[TrustStage, ...], last: TrustStage, chance: random.Random) -> bool:
    """Walk ``path`` patiently, then apply ``last`` right after the last reissue; return if it was
    applied.

    Raises:
        OutageError: it broke a handshake.
    """
    world = World()
    for target in path:
        world.wait(2 * HOLD_DOWN, chance)
        assert world.update(target, guarded, chance)
        for workload in world.workloads:
            world.reissue(workload, chance)
    applied = world.update(last, guarded, chance)
    world.wait(2 * HOLD_DOWN, chance)
    assert world.update(last, guarded, chance)
    return applied


@pytest.mark.parametrize(
    ("path", "last", "guard"),
    [
        ((STEADY, ADDED, PROMOTED), DONE, "may_serve_predecessor"),
        ((STEADY, ADDED, PROMOTED, ADDED), STEADY, "may_serve_predecessor"),
        ((STEADY, ADDED, PROMOTED, ADDED), STEADY, "_may_have_issued"),
    ],
)
def test_haste_after_a_reissue_is_refused_and_would_break_handshakes(
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[TrustStage, ...],
    last: TrustStage,
    guard: str,
) -> None:
    for number in range(10):
        assert not hasty(path, last, random.Random(number))  # noqa: S311
    monkeypatch.setattr(leaving, guard, never)
    with pytest.raises(OutageError):
        any(hasty(path, last, random.Random(number)) is None for number in range(10))  # noqa: S311


def one_step_swap(decide: Callable[..., bool]) -> World:
    world, chance = World(), random.Random(0)  # noqa: S311 (a model's delays, no secret)
    assert world.update(stage(g1="issuing"), decide, chance)
    world.cert_manager(chance)
    world.wait(2 * HOLD_DOWN, chance)
    world.update(stage(g2="issuing"), decide, chance)
    world.cert_manager(chance)
    world.wait(2 * HOLD_DOWN, chance)
    return world


def test_the_one_step_swap_breaks_handshakes_when_it_is_forced() -> None:
    with pytest.raises(OutageError):
        one_step_swap(unguarded)


def test_the_one_step_swap_is_refused_and_nothing_moves() -> None:
    world = one_step_swap(guarded)
    assert {w.leaf.generation for w in world.workloads if w.leaf} == {"g1"}


def test_a_whole_rotation_completes_in_the_model() -> None:
    world, chance = World(), random.Random(1)  # noqa: S311
    for target in (
        stage(g1="issuing"),
        stage(g1="issuing", g2="incoming"),
        stage(g1="outgoing", g2="issuing"),
        stage(g2="issuing"),
    ):
        assert world.update(target, guarded, chance)
        for workload in world.workloads:
            world.reissue(workload, chance)
        world.wait(2 * HOLD_DOWN, chance)
    assert {w.leaf.generation for w in world.workloads if w.leaf} == {"g2"}
