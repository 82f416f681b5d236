"""Who a client is to NATS, and who another server is, with leaves of the real cert-manager.

Rotations of a NATS server are in tests/rotation_lab/test_servers.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import ports
from lab.api import Api
from lab.control_plane import ControlPlane
from lab.ports import LOOPBACK
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.cluster import wait_for
from tests.integration.support.configuration import small_stack
from tests.integration.support.recipes import shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("stacks"),
    pytest.mark.timeout(300),
]

NAME = "nats-users"
SERVER = "localhost"
BINARIES = {
    "2.15": str(Path(sys.executable).with_name("nats-server")),
    "2.9 of Debian": "/usr/sbin/nats-server",
}
ONLY_CLIENT = {"usages": ["client auth"]}
SERVICES: dict[str, dict[str, Any]] = {
    "server": {"dnsNames": [SERVER]},
    "half": {"dnsNames": [SERVER], **ONLY_CLIENT},
    "operator": {"emailAddresses": ["operator@example.org"]},
    "checkout": {"dnsNames": ["checkout.app.svc.cluster.local"]},
    "reports": {},
    "audit": {"commonName": "audit", "organizations": ["Example"]},
    # Two names are users: the first in NATS' order counts, which is that of the publisher.
    "both": {"emailAddresses": ["operator@example.org"], "serviceAccount": "reports"},
    "nobody": {},
}
PUBLISHER, READER, REFUSED = "publisher", "reader", "Authorization Violation"
ROLES = {
    "operator": PUBLISHER,
    "checkout": PUBLISHER,
    "reports": READER,
    "audit": READER,
    "both": PUBLISHER,
    "nobody": REFUSED,
}


@pytest.fixture(scope="module")
def leaves(
    plane: ControlPlane,
    api: Api,
    make_stack: MakeStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A directory for each service, as a pod has it."""
    stack = make_stack(NAME)
    services = {name: {"namespace": NAME, **service} for name, service in SERVICES.items()}
    stack.write(small_stack(NAME, plane.kubeconfig, services=services))
    stack.init()
    stack.up()
    directory = tmp_path_factory.mktemp("leaves")
    for name in SERVICES:
        cluster.materialise(
            api,
            NAME,
            service=name,
            bundle=f"{NAME}-trust",
            key="ca.crt",
            directory=directory / name,
        )
    return directory


def configured(text: str, files: Path) -> str:
    """What the page shows, with this machine's places in place of the pod's."""
    for there, here in (
        ("/etc/tls", str(files)),
        ("/etc/trust/ca.crt", str(files / "bundle.crt")),
        ("spiffe://example.org/ns/app/", f"spiffe://{NAME}.example.org/ns/{NAME}/"),
        ("0.0.0.0", LOOPBACK),  # noqa: S104 what the page says is replaced
    ):
        text = text.replace(there, here)
    return text


@contextlib.contextmanager
def running(binary: str, directory: Path, text: str, *, port: int) -> Iterator[Path]:
    """A server of this configuration; its log."""
    directory.mkdir(parents=True)
    (directory / "nats.conf").write_text(text)
    log = directory / "log"
    with log.open("wb") as to:
        process = subprocess.Popen(
            [binary, "--config", str(directory / "nats.conf")], stdout=to, stderr=to, env=os.environ
        )
    try:
        wait_for(lambda: "Server is ready" in log.read_text(), f"NATS on {port}: {log}")
        yield log
    finally:
        process.terminate()
        process.wait(20)


_SAID = "".join(
    f"{line}\r\n"
    for line in (
        'CONNECT {"verbose":false}',
        "PUB orders.new 3",
        "one",
        "SUB orders.new 1",
        "PING",
    )
).encode()


def context(files: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=files / "bundle.crt")
    made.load_cert_chain(files / "tls.crt", files / "tls.key")
    return made


def attempt(port: int, files: Path) -> str:
    """Publish and subscribe to orders, in NATS' own protocol; returns what of it was allowed."""
    with socket.create_connection((LOOPBACK, port), 20) as plain:
        assert plain.recv(65536).startswith(b"INFO ")
        with context(files).wrap_socket(plain, server_hostname=SERVER) as secure:
            said = (
                'CONNECT {"verbose":false}',
                "PUB orders.new 3",
                "one",
                "SUB orders.new 1",
                "PING",
            )
            secure.sendall("".join(f"{line}\r\n" for line in said).encode())
            told = ""
            while "PONG" not in told and (more := secure.recv(65536)):
                told += more.decode()
    if REFUSED in told:
        return REFUSED
    denied = {
        PUBLISHER: 'Permissions Violation for Publish to "orders.new"',
        READER: 'Permissions Violation for Subscription to "orders.new"',
    }
    return " and ".join(role for role, words in denied.items() if words not in told)


def with_users(files: Path, users: str) -> tuple[str, int]:
    port = ports.choose(None, avoid=())
    text = configured(shown("nats.conf"), files).partition("authorization")[0] + users
    text = text.replace(":4222", f":{port}").replace('http: "127.0.0.1:8222"\n', "")
    return text, port


@pytest.mark.parametrize("release", BINARIES)
def test_each_name_of_a_client_is_the_user_that_the_page_says(
    leaves: Path, tmp_path: Path, release: str
) -> None:
    users = configured(shown("nats-users.conf"), leaves / "server")
    text, port = with_users(leaves / "server", users)
    with running(BINARIES[release], tmp_path / "server", text, port=port):
        found = {name: attempt(port, leaves / name) for name in ROLES}
    assert found == ROLES


@pytest.mark.parametrize("release", BINARIES)
@pytest.mark.parametrize(
    ("users", "found"),
    [
        # Nothing to map to: whoever has a leaf of the domain may do everything.
        ("", f"{PUBLISHER} and {READER}"),
        # As in FlexStack's guide, whose users have passwords.
        ('authorization { users = [{user: "flexstack", password: "changeme"}] }', REFUSED),
    ],
)
def test_users_that_no_certificate_names(
    leaves: Path, tmp_path: Path, release: str, users: str, found: str
) -> None:
    text, port = with_users(leaves / "server", users)
    with running(BINARIES[release], tmp_path / "server", text, port=port):
        assert attempt(port, leaves / "checkout") == found


@pytest.mark.parametrize("release", BINARIES)
@pytest.mark.parametrize(("second", "connected"), [("server", True), ("half", False)])
def test_servers_verify_each_other_on_their_routes(
    leaves: Path, tmp_path: Path, release: str, second: str, connected: bool
) -> None:
    chosen: list[int] = []
    while len(chosen) < 6:
        chosen.append(ports.choose(None, avoid=chosen))
    clients, monitoring, routes = chosen[:2], chosen[2:4], chosen[4:]
    logs: list[Path] = []
    with contextlib.ExitStack() as up:
        for index, leaf in enumerate(("server", second)):
            text = configured(shown("nats-routes.conf"), leaves / leaf)
            text = text.replace(':6222"\n', f':{routes[index]}"\n', 1)
            # One dials, so that each is what its leaf is tried for: a route has two sides as any
            # connection has.
            there = f'"nats://{SERVER}:{routes[1]}"' if index == 0 else ""
            text = re.sub(r'routes: \["[^"]*"\]', f"routes: [{there}]", text)
            text = (
                f'server_name: "orders-{index}"\nlisten: "{LOOPBACK}:{clients[index]}"\n'
                f'http: "{LOOPBACK}:{monitoring[index]}"\n{text}'
            )
            directory = tmp_path / f"orders-{index}"
            started = running(BINARIES[release], directory, text, port=clients[index])
            logs.append(up.enter_context(started))
        if connected:
            wait_for(lambda: all(map(_routes, monitoring)), f"a route: {logs}")
        else:
            # It presents itself as a server, for which its leaf is not good.
            refusal = "TLS route handshake error"
            wait_for(lambda: refusal in logs[0].read_text(), f"a refusal: {logs}")
            assert not any(map(_routes, monitoring))


def _routes(monitoring: int) -> int:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{monitoring}/routez") as answer:
        return int(json.load(answer)["num_routes"])
