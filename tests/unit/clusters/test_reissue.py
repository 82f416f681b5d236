"""Having Certificates issued again, by a cert-manager that is played and on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from mtls_pki.clusters.issuing_condition import ConflictError
from mtls_pki.clusters.reissue import Pace, Reissue, Run, named
from mtls_pki.clusters.reissue_candidates import Certificate, DeadRequest, Stale
from mtls_pki.errors import CommandError

READY = {"type": "Ready", "status": "True"}
MARK = {"type": "Issuing", "status": "True"}


def certificate(name: str, revision: int = 1) -> Certificate:
    return Certificate(
        namespace="app",
        name=name,
        uid=name,
        resource_version="1",
        generation=1,
        revision=revision,
        conditions=(READY,),
    )


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Controller:
    """Certificates, and a cert-manager that issues each ``takes`` seconds after it was marked.

    Attributes:
        stuck: those that it never issues.
        failing: those that it gives up on.
        meddled: how often somebody else changes one before it can be marked.
        requests: the time of every request.
        most: how many were under way at once.
    """

    clock: Clock
    live: dict[str, Certificate]
    takes: float = 2.0
    stuck: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    meddled: dict[str, int] = field(default_factory=dict)
    marked: dict[str, float] = field(default_factory=dict)
    requests: list[float] = field(default_factory=list)
    most: int = 0
    break_off_after: int | None = None
    deleted: list[str] = field(default_factory=list)

    def certificate(self, namespace: str, name: str) -> Certificate | None:
        self._asked()
        self._work()
        return self.live.get(name)

    def delete_request(self, namespace: str, request: DeadRequest) -> None:
        self.deleted.append(f"{namespace}/{request.name}")

    def mark_issuing(self, certificate: Certificate, *, message: str) -> None:
        self._asked()
        self._work()
        name, live = certificate.name, self.live.get(certificate.name)
        if live is None:
            raise ConflictError
        if self.meddled.get(name, 0):
            self.meddled[name] -= 1
            self.live[name] = replace(live, resource_version=live.resource_version + "x")
            raise ConflictError
        if live.resource_version != certificate.resource_version:
            raise ConflictError
        self.live[name] = replace(
            live, conditions=(READY, MARK), resource_version=live.resource_version + "m"
        )
        self.marked[name] = self.clock.now
        self.most = max(self.most, len(self.marked))

    def _asked(self) -> None:
        self.requests.append(self.clock.now)
        if self.break_off_after is not None and len(self.requests) > self.break_off_after:
            raise KeyboardInterrupt

    def _work(self) -> None:
        for name, at in list(self.marked.items()):
            if name in self.stuck or self.clock.now < at + self.takes:
                continue
            live = self.live[name]
            if name in self.failing:
                failed = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no"}
                self.live[name] = replace(live, conditions=(READY, failed))
            else:
                self.live[name] = replace(live, revision=live.revision + 1, conditions=(READY,))
            del self.marked[name]


class World:
    """A cluster with ``count`` stale Certificates."""

    def __init__(self, count: int) -> None:
        self.clock = Clock()
        names = [f"c{number:03}" for number in range(count)]
        self.controller = Controller(self.clock, {name: certificate(name) for name in names})
        self.told: list[int] = []
        self.moved: Callable[[], Sequence[Stale]] = lambda: ()

    def stale(self) -> list[Stale]:
        return [
            Stale(certificate=each, why="chains to g1")
            for each in self.controller.live.values()
            if each.revision == 1
        ]

    def run(self, *, batch: int = 50, rate: float = 10, timeout: int = 60) -> Run:
        stale = self.stale()
        run = Run(total=len(stale))
        self.resume(run, stale, batch=batch, rate=rate, timeout=timeout)
        return run

    def resume(
        self,
        run: Run,
        stale: Sequence[Stale],
        *,
        batch: int,
        rate: float,
        timeout: int,
        probe: bool = False,
    ) -> None:
        Reissue(
            certificates=self.controller,
            pace=Pace(rate=rate, clock=self.clock, sleep=self.clock.sleep),
            batch=batch,
            probe=probe,
            timeout=timedelta(seconds=timeout),
            message="why",
            moved=lambda: self.moved(),
            tell=lambda run: self.told.append(len(run.done)),
        )(run, stale)


@pytest.mark.parametrize("count", [1, 50, 60, 400])
def test_requests_are_linear_and_paced(count: int) -> None:
    world = World(count)
    run = world.run()
    assert len(run.done) == count
    assert (run.failed, run.under_way, run.untouched) == ({}, {}, 0)
    times = world.controller.requests
    assert len(times) <= 4 * count + 10
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first >= 0.999
    assert world.told[-1] == count


def test_no_more_than_a_batch_is_under_way() -> None:
    world = World(45)
    world.controller.takes = 30
    world.run(batch=20)
    assert world.controller.most == 20


def test_a_slow_cert_manager_is_asked_no_more_often() -> None:
    world = World(20)
    world.controller.takes = 50
    world.run()
    assert len(world.controller.requests) <= 10 * (world.clock.now + 1)


def test_the_broken_off_run_knows_where_it_stands_and_the_next_one_finishes() -> None:
    world = World(60)
    world.controller.break_off_after = 70
    stale = world.stale()
    run = Run(total=len(stale))
    with pytest.raises(KeyboardInterrupt):
        world.resume(run, stale, batch=50, rate=10, timeout=60)
    assert len(run.done) + len(run.under_way) + run.untouched == 60
    assert run.untouched >= 10
    assert run.done
    world.controller.break_off_after = None
    again = world.run()
    assert len(again.done) == len(again.done) + len(again.failed)
    assert world.stale() == []


def test_one_that_is_under_way_already_is_not_marked_again() -> None:
    world = World(1)
    live = world.controller.live["c000"]
    world.controller.live["c000"] = replace(live, conditions=(READY, MARK))
    world.controller.marked["c000"] = 0.0
    run = world.run()
    assert len(run.done) == 1
    assert "m" not in world.controller.live["c000"].resource_version


def test_a_conflict_is_read_again_and_tried_again() -> None:
    world = World(2)
    world.controller.meddled = {"c000": 2}
    assert len(world.run().done) == 2


def test_an_endless_conflict_is_told() -> None:
    world = World(2)
    world.controller.meddled = {"c000": 99}
    run = world.run()
    assert run.failed == {"app/c000": "changed 5 times before it could be marked"}
    assert len(run.done) == 1


def test_one_that_was_renewed_or_deleted_meanwhile_is_done() -> None:
    world = World(2)
    stale = world.stale()
    world.controller.live["c000"] = replace(certificate("c000", 2), resource_version="9")
    del world.controller.live["c001"]
    run = Run(total=2)
    world.resume(run, stale, batch=50, rate=10, timeout=60)
    assert len(run.done) == 2
    assert world.controller.marked == {}


def test_failures_and_time_outs_are_named_and_the_others_go_on() -> None:
    world = World(9)
    world.controller.stuck = {"c001"}
    world.controller.failing = {"c002"}
    run = world.run(batch=3, timeout=30)
    assert len(run.done) == 7
    assert run.failed == {"app/c001": "was not issued within 30 s", "app/c002": "no"}


def test_a_batch_of_which_nothing_comes_back_ends_the_run() -> None:
    world = World(9)
    world.controller.stuck = set(world.controller.live)
    with pytest.raises(
        CommandError, match=r"none of 3 Certificates was issued again.*app/c000 \(was not"
    ):
        world.run(batch=3, timeout=30)
    assert len(world.controller.marked) == 3


def test_an_issuer_that_still_has_the_old_ca_is_noticed_after_the_first_batch() -> None:
    world = World(9)
    world.moved = lambda: [
        Stale(certificate=each, why="chains to g1") for each in world.controller.live.values()
    ]
    with pytest.raises(CommandError, match="3 Certificates were issued again by the old CA"):
        world.run(batch=3)
    assert sum(each.revision == 1 for each in world.controller.live.values()) == 6


def test_many_are_named_shortly() -> None:
    assert named({f"a/{number}": "why" for number in range(12)}).endswith(", and 2 more")


def test_a_probe_that_fails_leaves_all_others_alone() -> None:
    world = World(60)
    world.controller.failing.add("c000")
    run, stale = Run(total=60), world.stale()
    with pytest.raises(CommandError, match="none of 1 Certificates was issued again"):
        world.resume(run, stale, batch=50, rate=10.0, timeout=300, probe=True)
    assert (run.failed, run.untouched) == ({"app/c000": "no"}, 59)
    assert world.controller.most == 1


def test_after_a_probe_that_succeeds_all_others_follow() -> None:
    world = World(60)
    run = Run(total=60)
    world.resume(run, world.stale(), batch=50, rate=10.0, timeout=300, probe=True)
    assert len(run.done) == 60
    assert world.controller.most > 1


def test_a_request_that_would_fail_for_ever_is_deleted_first() -> None:
    world = World(2)
    first, second = world.stale()
    dead = replace(first, dead=(DeadRequest(name="c000-1", uid="1"),))
    world.resume(Run(total=2), [dead, second], batch=50, rate=10.0, timeout=300)
    assert world.controller.deleted == ["app/c000-1"]
