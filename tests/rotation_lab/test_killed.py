"""Rotations whose ``up`` is killed at random points: they go on, and nobody notices."""

from __future__ import annotations

import copy
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support import cluster
from tests.integration.support.killing import up_killed_after
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-killed"),
    pytest.mark.timeout(1200),
]

NAME = "killed"
KILLS = 30
# Of one stage at most, so that each of the six stages of a rotation gets its share.
KILLS_A_STAGE = 5
# At most so many checkpoints before a kill: about half of what one stage saves.
CHECKPOINTS = 14


def test_thirty_kills_lose_no_anchor_and_no_connection(
    make_domain: MakeDomain, tmp_path: Path
) -> None:
    # Another one each time; say it, so that a failure can be had again.
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed}")
    dice = random.Random(seed)  # noqa: S311
    services: dict[str, Any] = {
        f"{name}-{number}": {"namespace": NAME, "clusters": [name]}
        for name in ("east", "west")
        for number in range(2)
    }
    domain = make_domain(NAME, clusters=2, services=services)
    kills: Counter[str] = Counter()
    fingerprints: dict[str, str] = {}
    # From nothing: no workload is there yet that could fail.
    _up_killed_again_and_again(domain, "create", kills, dice)
    _require_every_anchor_once(domain, fingerprints)
    with Fleet(domain, tmp_path) as fleet:
        fleet.settle()
        with fleet.without_failure():
            for stage, edit in _stages(domain):
                if kills.total() >= KILLS:
                    break
                edit()
                _up_killed_again_and_again(domain, stage, kills, dice)
                _require_every_anchor_once(domain, fingerprints)
                domain.hold_down()
    print(f"{kills.total()} kills: {dict(kills)}")
    assert {"create", "add", "promote", "withdraw", "retire"} <= kills.keys()


def _stages(domain: Domain) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every step of a rotation there is, for ever."""
    number = 2
    while True:
        added: dict[str, Any] = {}

        def add(generation: str = f"g{number}") -> None:
            domain.add(generation)

        def promote(kept: dict[str, Any] = added) -> None:
            kept |= copy.deepcopy(domain.anchors)
            domain.promote()

        def withdraw(kept: dict[str, Any] = added) -> None:
            domain.values["anchors"] = copy.deepcopy(kept)

        yield from (
            ("add", add),
            ("promote", promote),
            ("withdraw", withdraw),
            ("promote", promote),
            ("retire", domain.retire),
        )
        number += 1


def _up_killed_again_and_again(
    domain: Domain, stage: str, kills: Counter[str], dice: random.Random
) -> None:
    """Apply the configuration, killing ``up`` until it comes through or the stage had its share."""
    domain.stack.write(domain.values)
    for attempt in range(min(KILLS_A_STAGE, KILLS - kills.total())):
        # The first one early, so that it surely comes before the end.
        checkpoints = dice.randint(1, CHECKPOINTS if attempt else CHECKPOINTS // 3)
        status = up_killed_after(domain.stack, checkpoints, dice)
        if status is not None:
            assert status == 0, domain.stack.up().output
            break
        kills[stage] += 1
        print(f"{kills.total()}: {stage}, after {checkpoints} checkpoints", flush=True)
        # What a user is told to do: the dead run's lock stays.
        domain.stack.must("cancel", "--yes", domain.name)
    else:
        domain.stack.up()
    pending = _export(domain).get("pending_operations", ())
    if pending:
        # The engine cannot know whether a create that was in the air has happened, so it warns of
        # it until it is told to forget; by now the same `up` has done it again.
        assert {each["type"] for each in pending} == {"creating"}
        domain.stack.refresh("--clear-pending-creates")
        assert domain.stack.up().changes == {}


def _require_every_anchor_once(domain: Domain, fingerprints: dict[str, str]) -> None:
    """Assert that bundles, gates, issuers and state agree, and that no anchor is another one now.

    Args:
        domain: just applied.
        fingerprints: of each generation when it was first seen; those of new ones are added.
    """
    stages = {name: domain.recorded(name) for name in domain.planes}
    stage = stages["east"]
    assert stages["west"] == stage
    assert {g: anchor.role for g, anchor in stage.anchors.items()} == {
        g: each["role"] for g, each in domain.anchors.items()
    }
    for generation, anchor in stage.anchors.items():
        assert anchor.fingerprint is not None
        assert fingerprints.setdefault(generation, anchor.fingerprint) == anchor.fingerprint
    assert domain.anchors_in_bundles() == stage.trusted_fingerprints
    for name in domain.planes:
        with domain.api(name) as api:
            issuers = cluster.names(api, f"{cluster.CERT_MANAGER}/namespaces/{NAME}/issuers")
        issuing = [g for g in stage.anchors if domain.anchors[g]["role"] != "incoming"]
        assert issuers == {domain.issuer(generation) for generation in issuing}
    exported = _export(domain)
    assert not exported.get("pending_operations")
    keys = Counter(
        resource["urn"].rpartition("::")[2]
        for resource in exported["resources"]
        if resource["type"] == "tls:index/privateKey:PrivateKey"
    )
    assert keys == Counter(
        f"{generation}{part}-key" for generation in stage.anchors for part in ("", "-i1")
    )


def _export(domain: Domain) -> dict[str, Any]:
    done = domain.stack.engine.run("stack", "export", "--stack", domain.name)
    deployment: dict[str, Any] = json.loads(done.stdout)["deployment"]
    return deployment
