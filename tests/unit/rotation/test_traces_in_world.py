"""The search of ``test_reachability`` in a world whose leaves leave no trace.

Certificates are deleted and their Secrets live on, pods get leaves from requests that vanish,
leaves of one Certificate have different lifetimes, and the issuer of an outgoing generation goes
on signing.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from mtls_pki.rotation.guards import leaving
from tests.unit.rotation.cases import stage
from tests.unit.rotation.test_reachability import (
    ADDED,
    CHANCE,
    DONE,
    PROMOTED,
    SEARCH,
    STEADY,
    Rotations,
    guarded,
    never,
)
from tests.unit.rotation.world import HOLD_DOWN, LIFETIME, LONGEST, OutageError, World


class Untraced(Rotations):
    """The same person, and teams that do what they like."""

    @initialize(traceable=st.booleans())
    def choose(self, traceable: bool) -> None:
        self.world.traceable = traceable

    @rule(which=st.integers(0, 9))
    def delete_a_certificate(self, which: int) -> None:
        workload = self.world.workloads[which % len(self.world.workloads)]
        workload.deleted = not workload.pod

    @rule(which=st.integers(0, 9), lifetime=st.sampled_from([LIFETIME, LONGEST]))
    def ask_for_another_lifetime(self, which: int, lifetime: timedelta) -> None:
        self.world.workloads[which % len(self.world.workloads)].lifetime = lifetime

    @rule(which=st.integers(0, 9), generation=st.sampled_from(["g1", "g2", None]))
    def name_another_issuer(self, which: int, generation: str | None) -> None:
        teams = [each for each in self.world.workloads if not each.declared and not each.pod]
        self.world.name_issuer(teams[which % len(teams)], generation)

    @rule(which=st.integers(0, 9), chance=CHANCE)
    def start_a_pod(self, which: int, chance: random.Random) -> None:
        places = self.world.places
        self.world.start_pod(places[which % len(places)], chance)


def test_no_reachable_state_breaks_a_handshake() -> None:
    run_state_machine_as_test(Untraced, settings=SEARCH)


def deleted_then_retired(*, traceable: bool) -> World:
    """Rotate while a team deletes its Certificate and goes on with its Secret."""
    world, chance = World(traceable=traceable), random.Random(3)  # noqa: S311
    for target in (STEADY, ADDED, PROMOTED):
        assert world.update(target, guarded, chance)
        for workload in world.workloads:
            world.reissue(workload, chance)
        if target is STEADY:
            world.wait(2 * HOLD_DOWN, chance)
            world.workloads[1].deleted = True
        world.wait(2 * HOLD_DOWN, chance)
    world.update(DONE, guarded, chance)
    world.wait(2 * HOLD_DOWN, chance)
    return world


@pytest.mark.parametrize("traceable", [True, False])
def test_a_secret_whose_certificate_was_deleted_keeps_the_anchor_while_it_lives(
    traceable: bool,
) -> None:
    world = deleted_then_retired(traceable=traceable)
    assert {cluster.gate for cluster in world.clusters.values()} == {PROMOTED}
    world.wait(LONGEST, random.Random(4))  # noqa: S311
    assert world.update(DONE, guarded, random.Random(5))  # noqa: S311


def test_and_would_break_without_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "untraced", lambda *_, **__: ())
    with pytest.raises(OutageError):
        deleted_then_retired(traceable=False)


def moved_late(world: World, chance: random.Random, *, fixed: bool) -> bool:
    """Promote, move a team's leaf long after that, and retire in that second.

    Args:
        fixed: it hung on g1's own issuer, which went on; else its leaf before lives longer.
    """
    for target in (STEADY, ADDED, PROMOTED):
        assert world.update(target, guarded, chance)
        for workload in world.workloads:
            team = workload is world.workloads[1]
            if team and target is STEADY:
                world.name_issuer(workload, "g1" if fixed else None)
                workload.lifetime = LIFETIME if fixed else LONGEST
            if not team or target is STEADY:
                world.reissue(workload, chance)
        world.wait(2 * HOLD_DOWN, chance)
    world.wait(LONGEST * 2 if fixed else LIFETIME, chance)
    late = world.workloads[1]
    late.lifetime = LIFETIME
    world.name_issuer(late, "g2" if fixed else None)
    world.reissue(late, chance)
    applied = world.update(DONE, guarded, chance)
    world.wait(2 * HOLD_DOWN, chance)
    return applied


@pytest.mark.parametrize("fixed", [True, False], ids=["issuer went on", "longer-lived"])
def test_haste_after_the_last_leaf_moved_is_refused_and_would_break_handshakes(
    monkeypatch: pytest.MonkeyPatch, fixed: bool
) -> None:
    for number in range(10):
        assert not moved_late(World(), random.Random(number), fixed=fixed)  # noqa: S311
    monkeypatch.setattr(leaving, "may_serve_predecessor", never)
    with pytest.raises(OutageError):
        any(
            moved_late(World(), random.Random(number), fixed=fixed) is None  # noqa: S311
            for number in range(10)
        )


def test_pods_that_come_and_go_do_not_keep_an_anchor_for_ever() -> None:
    world, chance = World(), random.Random(6)  # noqa: S311
    for target in (STEADY, ADDED, PROMOTED):
        assert world.update(target, guarded, chance)
        for workload in world.workloads:
            world.reissue(workload, chance)
        world.wait(2 * HOLD_DOWN, chance)
        world.start_pod(world.places[0], chance)
    promoted = max(cluster.gate_changed_at for cluster in world.clusters.values())
    while not world.update(DONE, guarded, chance):
        world.start_pod(world.places[0], chance)
        world.wait(HOLD_DOWN / 2, chance)
        assert world.now < promoted + LONGEST + 2 * HOLD_DOWN
    assert world.now >= promoted + LONGEST


def test_a_fleet_that_renews_all_the_time_does_not_keep_an_anchor_for_ever() -> None:
    """Something is in its hold-down at any time; every leaf is of another age."""
    world, chance = World(), random.Random(7)  # noqa: S311
    for target in (STEADY, ADDED, PROMOTED):
        assert world.update(target, guarded, chance)
        world.cert_manager(chance)
        world.wait(2 * HOLD_DOWN, chance)
    for workload in world.workloads:
        world.reissue(workload, chance)
    last = world.now
    while not world.update(stage(g2="issuing"), guarded, chance):
        world.reissue(chance.choice(world.workloads), chance)
        world.wait(HOLD_DOWN / 2, chance)
        assert world.now < last + LONGEST + 2 * HOLD_DOWN
