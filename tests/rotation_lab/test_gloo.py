"""The relay of Gloo Mesh through a rotation: real gRPC with the Secrets of three clusters.

Gloo's own server is not public; a gRPC server and clients that verify as it is documented to do
stand in for it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.rotation_lab.domain import HOLD_DOWN_SECONDS, Domain

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-gloo"),
    pytest.mark.timeout(900),
]

NAME = "relayed"
MANAGEMENT, WORKLOADS = "mgmt", ("east", "west")
NAMESPACE = "gloo-mesh"
METHOD = "/relay/Whoami"

Files = Mapping[str, str]


@pytest.fixture(scope="module")
def management(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during(MANAGEMENT) as plane:
        yield plane


@pytest.fixture(scope="module")
def domain(
    make_stack: MakeStack,
    management: ControlPlane,
    planes: tuple[ControlPlane, ControlPlane],
) -> Domain:
    domain = Domain(
        NAME,
        make_stack(NAME),
        (management, *planes),
        trust={
            "name": f"{NAME}-trust",
            "namespaces": [NAME, NAMESPACE],
            "createNamespaces": True,
            "holdDown": f"{HOLD_DOWN_SECONDS}s",
        },
        consumers={"gloo": {"management": MANAGEMENT, "workloads": list(WORKLOADS)}},
    )
    domain.apply()
    return domain


def secret(domain: Domain, name: str, where: str) -> Files:
    with domain.api(where) as api:
        data = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def server_files(domain: Domain) -> Files:
    return secret(domain, "relay-server-tls-secret", MANAGEMENT)


def client_files(domain: Domain) -> dict[str, Files]:
    return {name: secret(domain, "relay-client-tls-secret", name) for name in WORKLOADS}


@contextlib.contextmanager
def relay(files: Files) -> Iterator[int]:
    """A server that knows its agents by the DNS name of their certificates."""

    def whoami(_: bytes, context: grpc.ServicerContext) -> bytes:
        names = context.auth_context()["x509_subject_alternative_name"]
        return b",".join(names)

    handler = grpc.unary_unary_rpc_method_handler(whoami)
    server = grpc.server(ThreadPoolExecutor(4))
    service, method = METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    credentials = grpc.ssl_server_credentials(
        [(files["tls.key"].encode(), files["tls.crt"].encode())],
        root_certificates=files["ca.crt"].encode(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def whoami(port: int, files: Files, authority: str = "gloo-mesh-mgmt-server") -> str:
    """What the server knows an agent as."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=files["ca.crt"].encode(),
        private_key=files["tls.key"].encode(),
        certificate_chain=files["tls.crt"].encode(),
    )
    options = [("grpc.ssl_target_name_override", f"{authority}.{NAMESPACE}")]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        answer: bytes = channel.unary_unary(METHOD)(b"", timeout=20)
    return answer.decode()


def require_connected(servers: list[Files], agents: list[dict[str, Files]]) -> None:
    """Assert that each agent reaches each server, whichever of the two was restarted."""
    for server in servers:
        with relay(server) as port:
            for files in agents:
                for name, own in files.items():
                    assert whoami(port, own) == name


def pod(domain: Domain, where: str, name: str) -> None:
    """A pod of the relay that starts now, in place of one of this name."""
    collection = f"/api/v1/namespaces/{NAMESPACE}/pods"
    with domain.api(where) as api:
        if api.exists(f"{collection}/{name}"):
            api.request("DELETE", f"{collection}/{name}", {"gracePeriodSeconds": 0})
            cluster.wait_for(lambda: not api.exists(f"{collection}/{name}"), "end of the pod")
        spec: dict[str, Any] = {"containers": [{"name": "relay", "image": "relay"}]}
        api.request("POST", collection, {"metadata": {"name": name}, "spec": spec})
        # No container runs here, so nobody else says when it started. Times have whole seconds.
        time.sleep(1)
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        cluster.patch(api, f"{collection}/{name}/status", {"status": {"startTime": started}})


SERVER_POD = "gloo-mesh-mgmt-server-1"
AGENT_PODS = dict.fromkeys(WORKLOADS, "gloo-mesh-agent-1")


def restart(domain: Domain) -> None:
    time.sleep(1)
    pod(domain, MANAGEMENT, SERVER_POD)
    for where, name in AGENT_PODS.items():
        pod(domain, where, name)


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    return (f"g{number}" for number in itertools.count(2))


def test_a_rotation_keeps_every_pair_connected(domain: Domain, generations: Iterator[str]) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    restart(domain)
    server, agents = [server_files(domain)], [client_files(domain)]
    require_connected(server, agents)
    with relay(server[0]) as port:
        assert whoami(port, agents[0]["east"], "enterprise-networking") == "east"

    domain.add(new)
    domain.apply()
    server.append(server_files(domain))
    agents.append(client_files(domain))
    require_connected(server, agents)
    domain.hold_down()
    with domain.edited():
        domain.promote()
        said = domain.refused(
            domain.preview(),
            f"{MANAGEMENT}/{NAMESPACE} Pod {SERVER_POD}[ca.crt]: was started before its roots",
            f"west/{NAMESPACE} Pod {AGENT_PODS['west']}[ca.crt]",
        )
    assert "kubectl rollout restart" in said
    restart(domain)
    domain.hold_down()

    domain.promote()
    domain.apply()
    server.append(server_files(domain))
    agents.append(client_files(domain))
    # Whoever was restarted last holds the roots of the step before at least.
    require_connected(server[1:], agents[1:])
    domain.hold_down()
    with domain.edited():
        domain.retire()
        domain.refused(
            domain.preview(),
            f"east/{NAMESPACE} Pod {AGENT_PODS['east']}: chains to {old}",
            "restart its Deployment",
        )
    restart(domain)
    domain.hold_down()

    domain.retire()
    domain.apply()
    server.append(server_files(domain))
    agents.append(client_files(domain))
    require_connected(server[2:], agents[2:])
    # A negative control: what was there before the rotation is refused now.
    with relay(server[-1]) as port, pytest.raises(grpc.RpcError):
        whoami(port, agents[0]["east"])


def test_a_lost_secret_comes_back_as_it_was(domain: Domain) -> None:
    """Certificates are a function of key and configuration, so a lost cluster gets the same."""
    before = {MANAGEMENT: server_files(domain), **client_files(domain)}
    for where, name in (
        (MANAGEMENT, "relay-server-tls-secret"),
        ("east", "relay-client-tls-secret"),
    ):
        with domain.api(where) as api:
            api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")
    domain.apply("--refresh")
    assert {MANAGEMENT: server_files(domain), **client_files(domain)} == before
