"""The lab on the real binaries."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from lab import ports, state
from lab.api import Api, ApiError
from lab.control_plane import ControlPlane, Health, ProcessStatus
from lab.guard import Guard
from tests.integration.lab_fixtures import Lab

pytestmark = pytest.mark.lab

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
CERTIFICATES = "/apis/cert-manager.io/v1/namespaces/default/certificates"
ISSUERS = "/apis/cert-manager.io/v1/namespaces/default/issuers"
BUNDLES = "/apis/trust.cert-manager.io/v1alpha1/bundles"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this module's own, since its processes are killed here."""
    root = tmp_path_factory.mktemp("own")
    guard = Guard(root)
    control_plane = ControlPlane(root, "own")
    began = time.monotonic()
    control_plane.up()
    print(f"\nready after {time.monotonic() - began:.1f} s, from nothing but the tools")
    yield control_plane
    guard.release()


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    plane.up()
    with contextlib.closing(plane.api()) as administrator:
        yield administrator


def by_name(plane: ControlPlane) -> dict[str, ProcessStatus]:
    return {status.process: status for status in plane.status()}


def pids(plane: ControlPlane) -> dict[str, int | None]:
    return {name: status.pid for name, status in by_name(plane).items()}


def eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, f"still {result!r} after {seconds} s"
        time.sleep(0.1)
    return result


def condition(api: Api, path: str, kind: str) -> dict[str, Any] | None:
    conditions = api.request("GET", path).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def delete_in_foreground(api: Api, path: str) -> float:
    """Seconds until the object is gone."""
    began = time.monotonic()
    api.request("DELETE", path, {"propagationPolicy": "Foreground"})
    eventually(lambda: not api.exists(path), seconds=60)
    return time.monotonic() - began


def kill(plane: ControlPlane, process: str) -> None:
    pid = by_name(plane)[process].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: by_name(plane)[process].health is Health.DEAD, seconds=10)


def test_starting_twice_changes_nothing(plane: ControlPlane) -> None:
    plane.up()
    before = pids(plane)

    assert plane.up() == ()

    assert pids(plane) == before
    assert {status.health for status in plane.status()} == {Health.READY}


@pytest.mark.parametrize(
    "process", ["etcd", "kube-apiserver", "kube-controller-manager", "cert-manager"]
)
def test_a_killed_process_is_named_and_started_again(plane: ControlPlane, process: str) -> None:
    plane.up()
    before = pids(plane)
    kill(plane, process)
    said: list[str] = []

    assert process in plane.up(said.append)

    assert any(f"{process} (pid {before[process]}) has died" in line for line in said)
    assert {status.health for status in plane.status()} == {Health.READY}
    # Who cannot live without the one that was killed may have died of it, and who talks to it is
    # started again where its port was taken meanwhile; both are told.
    told = {
        name
        for name, pid in before.items()
        for line in said
        if line.startswith((f"{name} (pid {pid}) has died", f"{name} runs with other settings"))
    }
    after = pids(plane)
    assert {name for name, pid in before.items() if after[name] != pid} == told


def test_data_survive_a_stop_and_a_taken_port_is_given_up(plane: ControlPlane, api: Api) -> None:
    api.request("POST", CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "b"}})
    plane.down()
    assert {status.health for status in plane.status()} == {Health.STOPPED}
    old = state.load(plane.paths.state).ports["kube-apiserver"]

    with socket.create_server((ports.LOOPBACK, old)):
        plane.up()

        server = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        assert server == plane.server
        assert not server.endswith(f":{old}")
        with contextlib.closing(plane.api()) as again:
            assert again.request("GET", f"{CONFIG_MAPS}/kept")["data"] == {"a": "b"}


def test_a_process_with_a_reused_pid_is_left_alone(plane: ControlPlane) -> None:
    plane.up()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file = plane.paths.pid_file("cert-manager")
        record = pid_file.read_text()
        pid = by_name(plane)["cert-manager"].pid
        pid_file.write_text(record.replace(f'"pid": {pid}', f'"pid": {stranger.pid}'))

        assert by_name(plane)["cert-manager"].health is Health.DEAD
        assert "cert-manager" not in plane.down()

        assert stranger.poll() is None
        stranger.kill()
        # The one that was hidden by the changed pid file.
        pid_file.write_text(record)
        plane.down()


def test_a_certificate_of_a_self_signed_issuer_becomes_ready(api: Api) -> None:
    api.request("POST", ISSUERS, issuer("self"))
    api.request("POST", CERTIFICATES, certificate("leaf", kind="Issuer"))

    eventually(lambda: condition(api, f"{CERTIFICATES}/leaf", "Ready"))

    secret = api.request("GET", "/api/v1/namespaces/default/secrets/leaf")
    assert set(secret["data"]) >= {"tls.crt", "tls.key"}


def test_the_webhook_of_cert_manager_has_a_say(api: Api) -> None:
    with pytest.raises(ApiError, match="StepClusterIssuer"):
        api.request("POST", CERTIFICATES, certificate("wrong", kind="StepClusterIssuer"))


def test_the_first_delete_in_the_foreground_does_not_wait(plane: ControlPlane) -> None:
    plane.down()
    plane.up()
    with contextlib.closing(plane.api()) as again:
        again.request("POST", ISSUERS, issuer("brief"))

        assert delete_in_foreground(again, f"{ISSUERS}/brief") < 10


def test_rbac_refuses_a_user_without_a_role(plane: ControlPlane, api: Api, tmp_path: Path) -> None:
    path = plane.kubeconfig_for("alice", ["readers"], tmp_path / "alice")
    assert path.stat().st_mode & 0o777 == 0o600
    with config.new_client_from_config(str(path)) as alice:
        core = client.CoreV1Api(alice)
        with pytest.raises(client.exceptions.ApiException) as refused:
            core.list_namespaced_secret("default")
        assert refused.value.status == 403
        assert "secrets is forbidden: User" in str(refused.value.body)
        assert "alice" in str(refused.value.body)


def test_two_control_planes_are_independent(lab: Lab) -> None:
    first, second = lab.up("one", "two")
    with contextlib.closing(first.api()) as here, contextlib.closing(second.api()) as there:
        here.request("POST", CONFIG_MAPS, {"metadata": {"name": "only-here"}})
        assert here.exists(f"{CONFIG_MAPS}/only-here")
        assert not there.exists(f"{CONFIG_MAPS}/only-here")
    before = pids(second)

    first.down(purge=True)

    assert not first.paths.directory.exists()
    assert pids(second) == before
    assert {status.health for status in second.status()} == {Health.READY}
    assert second.up() == ()
    second.down(purge=True)


def test_a_bundle_of_trust_manager_is_synced(plane: ControlPlane) -> None:
    started = ControlPlane(plane.paths.root, plane.name, with_=["trust-manager"]).up()
    # Else the garbage collector would learn of Bundles up to 30 seconds later.
    assert {"trust-manager", "kube-controller-manager"} <= set(started)

    with contextlib.closing(plane.api()) as api:
        pem = plane.paths.secret("ca.crt").read_text()
        api.request(
            "POST",
            BUNDLES,
            {
                "apiVersion": "trust.cert-manager.io/v1alpha1",
                "kind": "Bundle",
                "metadata": {"name": "mesh-trust"},
                "spec": {
                    "sources": [{"inLine": pem}],
                    "target": {"configMap": {"key": "ca.crt"}},
                },
            },
        )
        eventually(lambda: condition(api, f"{BUNDLES}/mesh-trust", "Synced"))
        target = eventually(
            lambda: (
                api.exists(f"{CONFIG_MAPS}/mesh-trust")
                and api.request("GET", f"{CONFIG_MAPS}/mesh-trust")
            )
        )
        assert target["data"]["ca.crt"].strip() == pem.strip()
        managers = {entry["manager"] for entry in target["metadata"]["managedFields"]}
        assert "trust-manager" in managers
        assert delete_in_foreground(api, f"{BUNDLES}/mesh-trust") < 10

    # A later `up` without --with keeps it.
    kill(plane, "trust-manager")
    assert ControlPlane(plane.paths.root, plane.name).up() == ("trust-manager",)


def test_an_up_killed_at_any_time_is_completed_by_the_next(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    command = [sys.executable, "-m", "lab", "up", "cut", "--directory", str(tmp_path)]
    for seconds in (0.7, 2.0, 4.0):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            time.sleep(seconds)
            process.kill()
    plane = ControlPlane(tmp_path, "cut")
    plane.up()
    assert {status.health for status in plane.status()} == {Health.READY}
    guard.release()


def certificate(name: str, *, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": {
            "secretName": name,
            "dnsNames": [f"{name}.default.svc"],
            "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"},
            "issuerRef": {"name": "self", "kind": kind},
        },
    }


def issuer(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": name},
        "spec": {"selfSigned": {}},
    }
