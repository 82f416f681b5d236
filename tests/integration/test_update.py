"""``mtls-pki up``: one checkpoint where nothing can be lost, and nothing that stays unseen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated, small_stack
from tests.integration.support.killing import kill_providers, kill_session
from tests.integration.support.readers import shipped_pruner
from tests.integration.support.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

ONCE = "the state is written once, at the end"
ALWAYS = "the state is written at every step: "

SLOWLY = ("--parallel", "1")
"""So that the last of many Certificates is a good way off when the second is there."""

Begun = Callable[..., Stack]


@pytest.fixture
def begun(make_stack: MakeStack, plane: ControlPlane) -> Begun:
    """Make a stack with an anchor and without a service, and apply it by this command."""

    def make(name: str, environment: dict[str, str] | None = None) -> Stack:
        stack = make_stack(name, environment)
        stack.write(small_stack(name, plane.kubeconfig, services={}))
        stack.init()
        run = stack.update()
        assert run.status == 0, run.output
        assert ONCE not in run.output
        return stack

    return make


def with_services(stack: Stack, *names: str) -> None:
    values = stack.read()
    stack.write({**values, "services": {name: {"namespace": stack.name} for name in names}})


def killed_with(stack: Stack, there: Callable[[], bool]) -> None:
    """SIGKILL an update as soon as ``there`` is so."""
    running = stack.start_update(*SLOWLY)
    try:
        cluster.wait_for(there, "objects")
    finally:
        kill_session(running.pid)
        running.communicate()
    stack.must("cancel", "--yes", stack.name)


def left(stack: Stack) -> list[str]:
    """What `status` says that the stack has left behind."""
    said: list[str] = json.loads(stack.rotation("status", "--json").stdout)["undeclared"]
    return said


def test_services_come_change_and_go_with_one_checkpoint(api: Api, begun: Begun) -> None:
    stack = begun("sparing")
    with_services(stack, "web", "db")
    run = stack.update()
    assert (run.status, ONCE in run.output) == (0, True), run.output
    live = cluster.certificates(api, "sparing")
    assert sorted(live) == stack.certificates_in_state() == ["db", "web"]
    assert all(map(cluster.is_ready, live.values()))
    values = stack.read()
    values["services"]["web"]["duration"] = "30h"
    del values["services"]["db"]
    stack.write(values)
    run = stack.update()
    assert (run.status, ONCE in run.output) == (0, True), run.output
    assert list(cluster.certificates(api, "sparing")) == stack.certificates_in_state() == ["web"]
    assert stack.up().changes == {}
    run = stack.update()
    assert run.status == 0, run.output
    assert "the state is written" not in run.output


def test_a_new_key_is_never_made_that_way(begun: Begun) -> None:
    stack = begun("keyed")
    values = stack.read()
    values["anchors"]["g2"] = generated("g2", "keyed", "incoming")
    values["services"] = {"web": {"namespace": "keyed"}}
    stack.write(values)
    run = stack.update()
    assert run.status == 0, run.output
    assert f"{ALWAYS}it creates PrivateKey g2" in run.output
    assert ONCE not in run.output


def test_many_certificates_move_in_an_update_of_their_own(api: Api, begun: Begun) -> None:
    """The new issuer's CA Secret needs every checkpoint, and what names that issuer none."""
    stack = begun("moving")
    with_services(stack, *(f"s{number}" for number in range(20)))
    assert stack.update().status == 0
    values = stack.read()
    values["anchors"]["g2"] = generated("g2", "moving", "incoming")
    stack.write(values)
    assert stack.update().status == 0
    # The hold-down is a second, and the record has whole ones.
    time.sleep(2.5)
    values["anchors"]["g1"]["role"], values["anchors"]["g2"]["role"] = "outgoing", "issuing"
    stack.write(values)
    run = stack.update()
    assert run.status == 0, run.output
    assert "two updates: the first writes the state at every step (it creates " in run.output
    live = cluster.certificates(api, "moving").values()
    assert {each["spec"]["issuerRef"]["name"] for each in live} == {"moving-ca-g2-i1"}
    assert all(map(cluster.is_ready, live))
    assert stack.up().changes == {}


@pytest.mark.parametrize(
    ("options", "environment"),
    [(("--checkpoints", "all"), {}), ((), {"MTLS_PKI_CHECKPOINTS": "all"}), (("-f",), {})],
    ids=["option", "variable", "no preview"],
)
def test_it_can_be_turned_off(
    begun: Begun, options: tuple[str, ...], environment: dict[str, str], request: Any
) -> None:
    stack = begun(f"off-{len(request.node.name)}", environment)
    with_services(stack, "web")
    run = stack.update(*options)
    assert run.status == 0, run.output
    assert ONCE not in run.output


def test_an_option_goes_to_the_engine(api: Api, begun: Begun) -> None:
    stack = begun("passing")
    with_services(stack, "web", "db")
    run = stack.update("--target", "**passing/web", "--continue-on-error")
    assert run.status == 0, run.output
    assert set(cluster.certificates(api, "passing")) == {"web"}


def test_what_a_kill_leaves_is_gone_on_with(api: Api, begun: Begun) -> None:
    stack = begun("resuming")
    names = [f"s{number}" for number in range(40)]
    with_services(stack, *names)
    killed_with(stack, lambda: len(cluster.certificates(api, "resuming")) >= 2)
    assert stack.certificates_in_state() == []
    before = {
        name: each["metadata"]["uid"]
        for name, each in cluster.certificates(api, "resuming").items()
    }
    run = stack.update()
    assert run.status == 0, run.output
    live = cluster.certificates(api, "resuming")
    assert sorted(live) == stack.certificates_in_state() == sorted(names)
    # None was made a second time, and what was written over it was the same.
    assert {name: live[name]["metadata"]["uid"] for name in before} == before
    assert {each["metadata"]["generation"] for each in live.values()} == {1}
    assert left(stack) == []


def test_what_is_left_and_not_declared_any_more_is_named_and_pruned(
    plane: ControlPlane, api: Api, begun: Begun, tmp_path: Path
) -> None:
    stack = begun("leaving")
    with_services(stack, "web")
    assert stack.update().status == 0
    with_services(stack, "web", "gone")
    killed_with(stack, lambda: "gone" in cluster.certificates(api, "leaving"))
    with_services(stack, "web")
    # To the engine there is nothing to do.
    assert stack.up().changes == {}
    entry = "dev/leaving/Certificate/gone"
    assert left(stack) == [entry]
    assert entry in stack.rotation("status").stdout
    page = stack.rotation("review", "--preview", str(_previewed(stack, tmp_path))).stdout
    assert "Left behind" in page, page
    assert "leaving/gone" in page

    values = stack.read()
    reader = shipped_pruner(plane, tmp_path / "pruner", bundle="leaving-trust")
    stack.write({**values, "clusters": {"dev": {"kubeconfig": str(reader)}}})
    shown = _prune(stack, "--dry-run")
    assert shown.splitlines()[0] == f"{entry}: goes"
    assert "gone" in cluster.certificates(api, "leaving")
    assert f"{entry}: deleted" in _prune(stack, "--yes")
    stack.write(values)
    assert set(cluster.certificates(api, "leaving")) == {"web"}
    assert left(stack) == []
    assert stack.up().changes == {}


def test_what_the_state_knows_is_left_to_the_engine(api: Api, begun: Begun) -> None:
    stack = begun("known")
    with_services(stack, "web", "old")
    assert stack.update().status == 0
    with_services(stack, "web")
    # Not applied yet.
    assert left(stack) == ["dev/known/Certificate/old"]
    said = _prune(stack, "--yes")
    assert "dev/known/Certificate/old: stays, the state knows it" in said
    assert "old" in cluster.certificates(api, "known")
    assert stack.update().status == 0
    assert left(stack) == []


def test_an_annotation_that_somebody_copied_is_not_ours(api: Api, begun: Begun) -> None:
    stack = begun("copied")
    with_services(stack, "web")
    assert stack.update().status == 0
    web = cluster.certificates(api, "copied")["web"]
    copy = {
        "apiVersion": web["apiVersion"],
        "kind": web["kind"],
        "metadata": {
            "name": "theirs",
            "namespace": "copied",
            "annotations": web["metadata"]["annotations"],
        },
        "spec": {**web["spec"], "secretName": "theirs-tls"},
    }
    api.request("POST", f"{cluster.CERT_MANAGER}/namespaces/copied/certificates", copy)
    assert left(stack) == []


def test_a_provider_that_dies_in_the_middle_costs_nothing(api: Api, begun: Begun) -> None:
    stack = begun("bereft")
    names = [f"s{number}" for number in range(40)]
    with_services(stack, *names)
    running = stack.start_update(*SLOWLY)
    try:
        cluster.wait_for(lambda: len(cluster.certificates(api, "bereft")) >= 2, "objects")
        kill_providers(running.pid)
        output, _ = running.communicate(timeout=120)
        assert running.returncode != 0, output
    finally:
        kill_session(running.pid)
        running.wait()
    assert "Traceback" not in output
    run = stack.update()
    assert run.status == 0, run.output
    live = cluster.certificates(api, "bereft")
    assert sorted(live) == stack.certificates_in_state() == sorted(names)
    assert all(map(cluster.is_ready, live.values()))


def _previewed(stack: Stack, directory: Path) -> Path:
    run = stack.must("preview", "--json", "--show-sames", "--stack", stack.name)
    file = directory / "preview.json"
    file.write_text(run.output[run.output.index("{") :])
    return file


def _prune(stack: Stack, *options: str) -> str:
    with stack.start_command("prune", *options) as process:
        output, _ = process.communicate()
    return str(output)
