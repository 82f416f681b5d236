"""A stand-in for what a control plane without nodes lacks, where a test installs controllers.

Kubernetes' own controllers make ReplicaSets, Pods and Endpoints of the chart's Deployments and
Services; what no process here can do is to run a Pod's image. The stand-in does the rest of a
kubelet's work: it starts the lab's own cert-manager in place of the images and says in each Pod's
status that it runs. It also writes ``caBundle`` into the webhook configurations, as cainjector
would, which the lab's cert-manager does not contain.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from typing import Any

import urllib3

from lab import addons, state, toolchain
from lab.addons import CERT_MANAGER
from lab.api import Api, ApiError
from lab.control_plane import ControlPlane
from lab.processes import start, stop
from lab.programs import CONTROLLER_MANAGER, Pki, Program
from tests.integration.support.cluster import patch

_NAMESPACE = addons.NAMESPACE
_WORKLOAD_CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "endpoints-controller",
    "endpointslice-controller",
)
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_POLL_SECONDS = 0.2


def strip(plane: ControlPlane, api: Api) -> None:
    """Take out of a control plane of the lab all that the lab installed of cert-manager."""
    stop([plane.paths.pid_file(CERT_MANAGER.name)])
    for collection in (
        *(f"{_ADMISSION}/{kind}" for kind in _WEBHOOKS),
        _CRDS,
        f"{_RBAC}/clusterroles",
        f"{_RBAC}/clusterrolebindings",
    ):
        for item in api.request("GET", collection)["items"]:
            name = item["metadata"]["name"]
            if "cert-manager" in name:
                api.request("DELETE", f"{collection}/{name}")
    api.request("DELETE", f"/api/v1/namespaces/{_NAMESPACE}")


def webhook_host(plane: ControlPlane) -> str:
    """Where the lab's cert-manager listens for admission reviews, as HOST:PORT."""
    return f"127.0.0.1:{state.load(plane.paths.state).ports[CERT_MANAGER.ports[0]]}"


@contextlib.contextmanager
def kubelet(plane: ControlPlane) -> Iterator[None]:
    """Have the Pods of cert-manager's namespace run, for as long as the context lasts."""
    _start(plane, CONTROLLER_MANAGER, _WORKLOAD_CONTROLLERS)
    stopped = threading.Event()
    worker = threading.Thread(target=_work, args=(plane, stopped))
    worker.start()
    try:
        yield
    finally:
        stopped.set()
        worker.join()


def _start(plane: ControlPlane, program: Program, controllers: tuple[str, ...] = ()) -> None:
    ports = state.load(plane.paths.state).ports
    binary = toolchain.ensure(program.name)[program.name]
    spec = program.spec(plane.paths, ports, binary)
    if controllers:
        flag = f"--controllers={','.join(controllers)}"
        argv = (each if "--controllers=" not in each else flag for each in spec.argv)
        spec = dataclasses.replace(spec, name="workload-controllers", argv=tuple(argv))
    # With a pid file beside the lab's own, so that it ends with the control plane.
    start(
        spec,
        pid_file=plane.paths.pid_file(spec.name),
        log=plane.paths.log(spec.name),
        environment={"PATH": os.environ["PATH"], "HOME": str(plane.paths.directory)},
    )


def _work(plane: ControlPlane, stopped: threading.Event) -> None:
    running = False
    with contextlib.closing(plane.api()) as api:
        while not stopped.wait(_POLL_SECONDS):
            _inject(plane, api)
            pods = _pods(api)
            if pods and not running:
                _start(plane, CERT_MANAGER.program)
                running = True
            if running and _answers(plane):
                for number, pod in enumerate(pods):
                    _report(api, pod, address=f"10.244.0.{number + 2}")


def _pods(api: Api) -> list[dict[str, Any]]:
    found = api.request("GET", f"/api/v1/namespaces/{_NAMESPACE}/pods")
    return list(found["items"])


def _answers(plane: ControlPlane) -> bool:
    url = CERT_MANAGER.readiness_url(state.load(plane.paths.state).ports)
    try:
        return urllib3.request("GET", url, retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _report(api: Api, pod: dict[str, Any], *, address: str) -> None:
    if pod.get("status", {}).get("phase") == "Running":
        return
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "Initialized")
        ],
    }
    path = f"/api/v1/namespaces/{_NAMESPACE}/pods/{pod['metadata']['name']}/status"
    patch(api, path, {"status": status})


def _inject(plane: ControlPlane, api: Api) -> None:
    authority = Pki(paths=plane.paths).webhook_authority.certificate.read_bytes()
    bundle = base64.b64encode(authority).decode()
    for kind in _WEBHOOKS:
        path = f"{_ADMISSION}/{kind}/cert-manager-webhook"
        try:
            live = api.request("GET", path)
        except ApiError:
            continue  # not installed yet
        webhooks = live["webhooks"]
        if all(each["clientConfig"].get("caBundle") == bundle for each in webhooks):
            continue
        for each in webhooks:
            each["clientConfig"]["caBundle"] = bundle
        with contextlib.suppress(ApiError):  # changed meanwhile; there is a next round
            api.request("PUT", path, live)
