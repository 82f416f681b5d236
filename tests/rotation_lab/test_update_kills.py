"""Runs that write their state once, killed at random moments: nothing is lost, doubled or unseen.

A hundred Certificates are made, issued again and removed. Every kill comes at a random moment, and
thirty of thirty-six are SIGKILLs of the whole run; the others take its provider or the API server.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.killing import kill_providers, kill_session
from tests.integration.support.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("update-kills")]

NAME = "hundred"
COUNT = 100
SIGKILLS = 10
"""In each of the three phases."""
ONCE = "the state is written once, at the end"
# From the start of the program to somewhere in the update, on a machine with nothing else to do.
MOMENTS = (3.0, 11.0)


@pytest.fixture(scope="module")
def own_plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during("update-kills") as plane:
        yield plane


@pytest.fixture(scope="module")
def stack(own_plane: ControlPlane, make_stack: MakeStack) -> Stack:
    made = make_stack(NAME)
    made.write(small_stack(NAME, own_plane.kubeconfig, services={}))
    made.init()
    assert made.update().status == 0
    return made


def services(count: int, duration: str) -> dict[str, Any]:
    return {
        f"s{number:03}": {"namespace": NAME, "duration": duration, "renewBefore": "1h"}
        for number in range(count)
    }


def declare(stack: Stack, found: dict[str, Any]) -> None:
    stack.write({**stack.read(), "services": found})


def interrupt(stack: Stack, plane: ControlPlane, how: str, moment: float) -> str:
    """Start an update, do ``how`` after some seconds, and return what it said."""
    running = stack.start_update()
    try:
        time.sleep(moment)
        if how == "run":
            kill_session(running.pid)
        elif how == "provider":
            kill_providers(running.pid)
        else:
            _kill_server(plane)
            plane.up()
        output, _ = running.communicate(timeout=300)
    finally:
        kill_session(running.pid)
        running.wait()
    stack.must("cancel", "--yes", stack.name)
    assert "Traceback" not in output
    return str(output)


def _kill_server(plane: ControlPlane) -> None:
    for each in plane.status():
        if each.process == "kube-apiserver" and each.pid is not None:
            server = psutil.Process(each.pid)
            server.kill()
            # Until then it is still there, and would be taken for the one that runs.
            server.wait()


def test_whatever_is_killed_the_next_run_goes_on(stack: Stack, own_plane: ControlPlane) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 moments, no secrets
    for wanted, revision in (
        (services(COUNT, "20h"), 1),
        (services(COUNT, "22h"), 2),
        (services(COUNT // 10, "22h"), 2),
    ):
        declare(stack, wanted)
        for how in (*["run"] * SIGKILLS, "provider", "server"):
            interrupt(stack, own_plane, how, chance.uniform(*MOMENTS))
        run = stack.update()
        assert run.status == 0, run.output
        _require_whole(stack, own_plane, set(wanted), revision)


def _require_whole(stack: Stack, plane: ControlPlane, wanted: set[str], revision: int) -> None:
    api = plane.api()
    try:
        live = cluster.certificates(api, NAME)
        requests = api.request(
            "GET", f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificaterequests"
        )["items"]
    finally:
        api.close()
    assert set(live) == wanted
    assert all(map(cluster.is_ready, live.values()))
    # Applied again over itself, nothing of a Certificate changes: one generation for each spec.
    assert {each["metadata"]["generation"] for each in live.values()} == {revision}
    assert all(each["status"]["revision"] >= revision for each in live.values())
    owners = {owner["name"] for each in requests for owner in each["metadata"]["ownerReferences"]}
    assert owners >= wanted
    assert stack.certificates_in_state() == sorted(wanted)
    assert stack.up().changes == {}
    assert json.loads(stack.rotation("status", "--json").stdout)["undeclared"] == []
