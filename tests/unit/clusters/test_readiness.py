"""When a Certificate counts as Ready, and how long the others are waited for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from mtls_pki.clusters import readiness
from mtls_pki.clusters.connection import Cluster, ClusterError, ForbiddenError
from mtls_pki.clusters.readiness import ABSENT, Readiness, Waited, wait_until_ready
from tests.unit.evidence import objects
from tests.unit.pki import material

G1 = material.parsed(objects.root("g1"))
ISSUER = {"name": "mtls-ca-g1", "kind": "ClusterIssuer"}
ANCHORS = {("cert-manager.io", "ClusterIssuer", "mtls-ca-g1"): G1}
Live = dict[str, Any]


def certificate(
    name: str,
    *,
    status: str = "True",
    observed: int = 1,
    revision: int | None = 1,
    uid: str = "uid",
    issuer: dict[str, str] | None = None,
) -> Live:
    return {
        "metadata": {"namespace": "app", "name": name, "uid": uid, "generation": 1},
        "spec": {"issuerRef": issuer or ISSUER},
        "status": {
            "revision": revision,
            "conditions": [{"type": "Ready", "status": status, "observedGeneration": observed}],
        },
    }


def request(
    name: str,
    *,
    chain: str | None = None,
    revision: int = 1,
    uid: str = "uid",
    issuer: dict[str, str] | None = None,
) -> Live:
    pem = objects.chain("g1") if chain is None else chain
    return {
        "metadata": {
            "namespace": "app",
            "name": f"{name}-{revision}",
            "annotations": {"cert-manager.io/certificate-revision": str(revision)},
            "ownerReferences": [{"name": name, "uid": uid}],
        },
        "spec": {"issuerRef": issuer or ISSUER},
        "status": {"certificate": base64.b64encode(pem.encode()).decode()},
    }


def awaiting(*names: str) -> Readiness:
    return Readiness([("app", name) for name in names], ANCHORS)


@pytest.mark.parametrize(
    "live",
    [
        certificate("web", status="False"),
        certificate("web", status="Unknown"),
        certificate("web", observed=0),
        {**certificate("web"), "status": {}},
    ],
    ids=["not ready", "unknown", "of a former spec", "not looked at"],
)
def test_what_its_conditions_do_not_say_of_the_present_spec_is_not_ready(live: Live) -> None:
    state = awaiting("web")
    state.see("ADDED", live)
    assert (state.ready, state.missing()) == (0, {("app", "web"): ""})


def test_ready_is_complete_once_the_chain_was_looked_at() -> None:
    state = awaiting("web")
    state.see("ADDED", certificate("web"))
    assert (state.ready, state.to_check, state.complete) == (1, True, False)
    state.check([request("web")])
    assert (state.ready, state.to_check, state.complete) == (1, False, True)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (request("web", chain=objects.chain("g2")), "does not lead to the anchor of ClusterIssuer"),
        (request("web", issuer={"name": "other"}), "its leaf is of Issuer other, and it names"),
    ],
    ids=["another CA", "another issuer"],
)
def test_a_leaf_of_another_signer_is_not_ready_until_there_is_a_newer_one(
    found: Live, said: str
) -> None:
    state = awaiting("web")
    state.see("ADDED", certificate("web"))
    state.check([found])
    (reason,) = state.missing().values()
    assert said in reason
    # It is told of again, without a new leaf.
    state.see("MODIFIED", certificate("web"))
    assert not state.ready
    state.see("MODIFIED", certificate("web", revision=2))
    state.check([found, request("web", revision=2)])
    assert state.complete


@pytest.mark.parametrize(
    "found",
    [
        [],
        [request("web", revision=2, chain=objects.chain("g2"))],
        [request("web", uid="of one that was deleted", chain=objects.chain("g2"))],
        [request("web", chain="")],
    ],
    ids=["gone", "of another revision", "of another object", "empty"],
)
def test_without_the_request_of_its_leaf_nothing_contradicts_cert_manager(
    found: list[Live],
) -> None:
    state = awaiting("web")
    state.see("ADDED", certificate("web"))
    state.check(found)
    assert state.complete


def test_one_that_has_not_left_its_issuer_is_judged_by_that_one() -> None:
    """As where it is no target of an update, or names an issuer of nobody."""
    for name in ("mtls-ca-g1", "unknown"):
        issuer = {"name": name, "kind": "ClusterIssuer"}
        state = awaiting("web")
        state.see("ADDED", certificate("web", issuer=issuer))
        state.check([request("web", issuer=issuer)])
        assert state.complete


def test_others_are_left_alone_and_what_is_gone_is_missed() -> None:
    state = awaiting("web", "db")
    state.relist([certificate("web"), certificate("db"), certificate("stranger")])
    assert state.ready == 2
    state.see("DELETED", certificate("db"))
    assert state.missing() == {("app", "db"): ABSENT}
    state.relist([certificate("db")])
    assert state.missing() == {("app", "web"): ABSENT}


def test_one_that_turns_to_and_fro_is_no_progress() -> None:
    state = awaiting("web", "db")
    for status in ("True", "False", "True"):
        state.see("MODIFIED", certificate("web", status=status))
    assert state.progress == 1


@dataclass
class Played:
    """A cluster that shows one thing after the other; each listing is one, as is each event."""

    listings: list[Any]
    events: list[list[Any]] = field(default_factory=list)
    requests: list[Live] = field(default_factory=list)
    passed: Callable[[float], None] = lambda _: None
    watches: list[int] = field(default_factory=list)

    def list_with_version(self, path: str, keep: Callable[[Live], Live | None]) -> Any:
        found = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        if isinstance(found, Exception):
            raise found
        return [kept for each in found if (kept := keep(each)) is not None], "7"

    def watch(self, path: str, version: str, *, seconds: int) -> Iterator[tuple[str, Live]]:
        self.watches.append(seconds)
        for event in self.events.pop(0) if self.events else []:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                self.passed(event)
                continue
            yield event
        else:
            self.passed(seconds)

    def list_all(self, path: str, keep: Callable[[Live], Live | None]) -> list[Live]:
        return [kept for each in self.requests if (kept := keep(each)) is not None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The time that passes is what is played."""
    now = [0.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(readiness.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(readiness.time, "sleep", passes)
    return passes


def wait(played: Played, *names: str, minutes: float = 5) -> Waited:
    return wait_until_ready(
        cast(Cluster, played),
        [("app", name) for name in names],
        ANCHORS,
        patience=timedelta(minutes=minutes),
        report=lambda _: None,
    )


AWAY = ClusterError("east", "it cannot be reached")


def test_a_watch_that_ends_is_taken_up_again(clock: Callable[[float], None]) -> None:
    played = Played(
        listings=[[], [certificate("web")], [certificate("web"), certificate("db")]],
        events=[[("ADDED", certificate("web"))], []],
        passed=clock,
    )
    assert wait(played, "web", "db") == Waited(missing={})
    assert len(played.watches) == 2


def test_an_api_server_that_goes_away_is_waited_for(clock: Callable[[float], None]) -> None:
    played = Played(listings=[AWAY, [], AWAY, [certificate("web")]], events=[[AWAY]], passed=clock)
    assert wait(played, "web") == Waited(missing={})


def test_patience_counts_from_the_last_that_became_ready(clock: Callable[[float], None]) -> None:
    """Five minutes are enough for three that take four minutes each, one after the other."""
    names = ("a", "b", "c")
    events: list[Any] = []
    for name in names:
        events += [240.0, ("MODIFIED", certificate(name))]
    played = Played(listings=[[]], events=[events], passed=clock)
    assert wait(played, *names) == Waited(missing={})
    played = Played(listings=[[certificate("a")]], events=[[]], passed=clock)
    assert wait(played, "a", "b") == Waited(missing={("app", "b"): ABSENT})


def test_what_is_left_of_it_bounds_the_watch(clock: Callable[[float], None]) -> None:
    played = Played(listings=[[]], passed=clock)
    assert wait(played, "web", minutes=1.5).missing
    assert played.watches == [60, 30]


def test_an_api_server_that_stays_away_is_the_reason(clock: Callable[[float], None]) -> None:
    assert wait(Played(listings=[AWAY], passed=clock), "web") == Waited(
        missing={("app", "web"): ABSENT}, error=AWAY
    )


def test_what_may_not_be_read_is_not_waited_for(clock: Callable[[float], None]) -> None:
    with pytest.raises(ForbiddenError):
        wait(Played(listings=[ForbiddenError("east", "no")], passed=clock), "web")


def test_nothing_to_wait_for_is_ready(clock: Callable[[float], None]) -> None:
    assert wait(Played(listings=[[]], passed=clock)) == Waited(missing={})
