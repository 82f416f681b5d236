"""The servers of docs/workloads.md through a whole rotation, on volumes that kubelet made."""

from __future__ import annotations

import contextlib
import grp
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nats.errors
import psycopg
import pytest

from lab.node import NODE_NAME, volume
from mtls_pki.clusters.sources.endpoints import Endpoint, ask_endpoints
from mtls_pki.components.mtls_workload import TLS_VOLUME, TRUST_VOLUME, Mounts, mounted
from mtls_pki.pki.parsing import parse_certificates
from tests.integration.lab_fixtures import Lab
from tests.integration.support.cluster import wait_for
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.servers import (
    SERVERS,
    Envoy,
    Load,
    Nats,
    Postgresql,
    Server,
    TcpEnvoy,
    Volumes,
    Watching,
    require_installed,
)
from tests.rotation_lab.test_fleet import unguarded
from tests.unit.pki import material

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-servers"),
    pytest.mark.timeout(900),
]

NAME = "served"
CLIENT = "client"
CLUSTER = "east"


@dataclass(frozen=True, kw_only=True)
class Running:
    """All servers, and the client's files."""

    domain: Domain
    servers: list[Server]
    client: Volumes


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    require_installed()
    services = {
        name: {"namespace": NAME, "commonName": f"{name}.{NAME}.svc.cluster.local"}
        for name in (*SERVERS, CLIENT)
    }
    domain = make_domain(NAME, services=services)
    domain.apply()
    return domain


def pod(domain: Domain, name: str) -> Volumes:
    """A pod on the lab's node with what `MtlsWorkload` mounts."""
    (plane,) = domain.planes.values()
    mounts = Mounts(
        secret_name=f"{name}-tls",
        bundle_name=domain.bundle_name,
        fs_group=grp.getgrnam(Postgresql.user).gr_gid,
    )
    plain = {
        "nodeName": NODE_NAME,
        "automountServiceAccountToken": False,
        "containers": [{"name": name, "image": name}],
    }
    path = f"/api/v1/namespaces/{NAME}/pods/{name}"
    with contextlib.closing(plane.api()) as api:
        api.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": NAME},
                "spec": mounted(plain, mounts),
            }
        )
        wait_for(lambda: api.request("GET", path)["status"].get("phase") == "Running", name)
        uid = api.request("GET", path)["metadata"]["uid"]
    return Volumes(
        tls=volume(plane.paths, pod_uid=uid, kind="secret", name=TLS_VOLUME),
        trust=volume(plane.paths, pod_uid=uid, kind="configmap", name=TRUST_VOLUME),
    )


@pytest.fixture(scope="module")
def running(domain: Domain, lab: Lab) -> Iterator[Running]:
    # Beside the control planes: PostgreSQL's user must pass through to it.
    directory = lab.root / "servers"
    with contextlib.ExitStack() as ending:
        servers = []
        for name, kind in SERVERS.items():
            server = kind(name, pod(domain, name), directory / name, NAME)
            ending.callback(server.stop)
            server.start()
            servers.append(server)
        client = pod(domain, CLIENT)
        ending.enter_context(Watching(servers))
        yield Running(domain=domain, servers=servers, client=client)


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    return (f"g{number}" for number in itertools.count(2))


@pytest.fixture(autouse=True)
def _settled(running: Running) -> None:
    """Each test begins with what the cluster holds in every volume, whatever ran before it."""
    good = running.domain.bundle()
    for volumes in (running.client, *(each.volumes for each in running.servers)):
        wait_for_bundle(volumes, good)
    for server in running.servers:
        wait_for_leaf(server)


def wait_for_bundle(volumes: Volumes, text: str) -> None:
    """Wait until kubelet has brought the bundle."""
    bundle = volumes.trust / "ca.crt"
    wait_for(lambda: bundle.read_text() == text, f"{text[:30]!r} in {bundle}")


def wait_for_leaf(server: Server) -> None:
    """Wait until what was projected is what is served."""
    wait_for(lambda: served(server) == projected(server), f"new leaf of {server.name}")


def served(server: Server) -> bytes:
    """The leaf that a fresh handshake shows, as DER, asked as `trust.endpoints` asks."""
    (answer,) = ask_endpoints([Endpoint.parse(server.endpoint, server.dns)])
    assert answer.error is None, answer
    return parse_certificates(answer.chain_pem, origin=server.name)[0].tbs_certificate_bytes


def projected(server: Server) -> bytes:
    pem = (server.volumes.tls / "tls.crt").read_text()
    return parse_certificates(pem, origin=server.name)[0].tbs_certificate_bytes


def require_connections(servers: list[Server], slow: Volumes) -> None:
    """Assert that a client whose files are one step behind is served by every server."""
    for server in servers:
        server.connect(slow)


def test_no_fresh_connection_fails_during_a_rotation(
    running: Running, generations: Iterator[str], tmp_path: Path
) -> None:
    domain, new = running.domain, next(generations)
    pids = {each.name: each.process and each.process.pid for each in running.servers}
    with Load(running.servers, running.client) as load:
        slow = running.client.frozen(tmp_path / "before")
        domain.add(new)
        domain.apply()
        domain.hold_down()
        require_connections(running.servers, slow)
        before = {each.name: projected(each) for each in running.servers}
        slow = running.client.frozen(tmp_path / "added")
        domain.promote()
        domain.apply()
        domain.hold_down()
        require_connections(running.servers, slow)
        slow = running.client.frozen(tmp_path / "promoted")
        domain.retire()
        domain.apply()
        domain.hold_down()
        require_connections(running.servers, slow)
    counted = Counter(each.server for each in load.attempts)
    print(", ".join(f"{name} {number}" for name, number in sorted(counted.items())))
    assert not load.failed, f"{len(load.failed)}: {load.failed[:5]}"
    assert set(counted) == set(SERVERS)
    for server in running.servers:
        # What was projected is what is served, and by the process of before.
        wait_for_leaf(server)
        assert projected(server) != before[server.name]
        assert server.process is not None
        assert server.process.poll() is None
        assert server.process.pid == pids[server.name]


def test_an_open_session_is_told_and_holds_an_anchor_only_when_asked(
    running: Running, generations: Iterator[str]
) -> None:
    (server,) = (each for each in running.servers if type(each) is Nats)
    monitored = {"monitoring": f"http://127.0.0.1:{server.monitoring}", "cluster": CLUSTER}
    begin(running.domain, generations, {"nats": {"servers": {"orders": monitored}}})
    said = require_told_and_held(
        running, server, f"orders@{CLUSTER}", f"client.{NAME}.svc.cluster.local"
    )
    assert f"client.{NAME}.svc.cluster.local" in said


@pytest.mark.parametrize("kind", [Envoy, TcpEnvoy])
def test_sessions_of_envoy_are_told_and_hold_an_anchor_only_when_asked(
    running: Running, generations: Iterator[str], kind: type[Envoy]
) -> None:
    (server,) = (each for each in running.servers if type(each) is kind)
    asked = {"admin": f"http://127.0.0.1:{server.admin}", "cluster": CLUSTER}
    begin(running.domain, generations, {"envoy": {"servers": {"orders": asked}}})
    domain = running.domain.values["trustDomain"]
    client = f"spiffe://{domain}/ns/{NAME}/sa/{CLIENT}"
    said = require_told_and_held(running, server, f"orders@{CLUSTER}", client, since="")
    assert client in said


def begin(domain: Domain, generations: Iterator[str], consumers: dict[str, object]) -> None:
    """Add the next anchor to a domain that asks these consumers who is connected."""
    domain.values["consumers"] = consumers
    domain.add(next(generations))
    domain.apply()
    domain.hold_down()


def require_told_and_held(
    running: Running,
    server: Nats | Postgresql | Envoy,
    shown: str,
    client: str,
    *,
    since: str = " since",
) -> str:
    """Promote with an open session, and retire; returns what ``status`` said of the session.

    Args:
        running: its domain has an incoming anchor and one consumer that asks ``server``.
        server: whose session stays open.
        shown: what messages call the server.
        client: what they call the one who is connected.
        since: what follows the generation, where the server tells the age of a session.
    """
    domain, old = running.domain, running.domain.in_role("issuing")
    ((consumer, _),) = domain.values["consumers"].items()
    with server.session(running.client):
        domain.promote()
        domain.apply()
        domain.hold_down()
        said = domain.rotation("status").stdout
        assert f"1 session of {shown} under {old}{since}" in said
        with domain.edited():
            domain.retire()
            assert domain.preview().status == 0
            domain.values["consumers"][consumer]["holdForSessions"] = True
            domain.refused(domain.preview(), f"session {client}", f"under {old}")
    domain.values["consumers"][consumer]["holdForSessions"] = True
    domain.retire()
    wait_for(lambda: domain.preview().status == 0, "end of the session")
    domain.apply()
    del domain.values["consumers"]
    domain.apply()
    return said


def test_negative_control_the_swap_in_one_step_fails_on_every_server(
    running: Running, generations: Iterator[str], tmp_path: Path
) -> None:
    domain, new = running.domain, next(generations)
    slow = running.client.frozen(tmp_path)
    require_connections(running.servers, slow)
    del domain.anchors[domain.in_role("issuing")]
    domain.add(new, "issuing")
    domain.stack.must("state", "unprotect", "--all", "--yes", "--stack", domain.name)
    with unguarded(domain):
        domain.apply()
    domain.hold_down()
    for server in running.servers:
        wait_for_leaf(server)
        with pytest.raises((OSError, psycopg.Error, nats.errors.Error)) as refused:
            server.connect(slow)
        print(server.name, refused.value)
    require_connections(running.servers, running.client)


def test_a_broken_bundle_is_refused_and_what_was_good_stays(
    running: Running, tmp_path: Path
) -> None:
    domain = running.domain
    client, good = running.client.frozen(tmp_path), domain.bundle()
    (envoy,) = (each for each in running.servers if type(each) is Envoy)
    before = {each.name: each.log.read_text().count(each.complaint) for each in running.servers}
    counted = envoy.statistic("key_rotation_failed")
    domain.write_bundle("garbage\n")
    try:
        for server in running.servers:
            wait_for_bundle(server.volumes, "garbage\n")
            if server.complaint:
                wait_for(
                    lambda each=server: (  # type: ignore[misc]
                        each.log.read_text().count(each.complaint) > before[each.name]
                    ),
                    f"complaint of {server.name}",
                )
        wait_for(lambda: envoy.statistic("key_rotation_failed") > counted, "count of Envoy")
        require_connections(running.servers, client)
    finally:
        domain.write_bundle(good)
    for server in running.servers:
        wait_for_bundle(server.volumes, good)
    require_connections(running.servers, client)


def test_servers_tell_what_they_serve_and_to_whom(running: Running) -> None:
    (envoy,) = (each for each in running.servers if type(each) is Envoy)
    (leaf,) = parse_certificates((envoy.volumes.tls / "tls.crt").read_text(), origin="leaf")[:1]
    wait_for(lambda: f"{leaf.serial_number:032x}"[-30:] in envoy.certificates(), "serial of Envoy")
    (postgresql,) = (each for each in running.servers if isinstance(each, Postgresql))
    issuing = running.domain.in_role("issuing")
    with postgresql.session(running.client):
        told = [line for line in postgresql.sessions().splitlines() if "client" in line]
    assert f"/CN=issuing-{issuing}-i1.{running.domain.values['trustDomain']}" in told[0]


def test_sessions_of_postgresql_are_told_and_hold_an_anchor_only_when_asked(
    running: Running, generations: Iterator[str]
) -> None:
    (server,) = (each for each in running.servers if isinstance(each, Postgresql))
    servers = {"orders-db": {"connection": server.connection(running.client), "cluster": CLUSTER}}
    begin(running.domain, generations, {"postgresql": {"servers": servers}})
    said = running.domain.rotation("status").stdout
    assert "sees its own sessions only; GRANT pg_read_all_stats" in said
    server.may_see_all_sessions("client")
    require_told_and_held(running, server, f"orders-db@{CLUSTER}", "client")


def test_a_client_of_another_domain_is_refused(running: Running, tmp_path: Path) -> None:
    """The counting sees what each server does with a leaf that it does not trust."""
    stranger = running.client.frozen(tmp_path)
    leaf = material.leaf(material.root("stranger"), material.key("stranger"))
    files = stranger.tls / "..then"
    (files / "tls.crt").write_text(leaf)
    (files / "tls.key").write_text(material.key_pem("leaf"))
    for server in running.servers:
        with pytest.raises((OSError, psycopg.Error, nats.errors.Error)) as refused:
            server.connect(stranger)
        print(server.name, refused.value)
