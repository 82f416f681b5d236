"""Rotations of a domain whose leaves a step-ca signs, one for each generation, under load."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab import ports
from lab.certificates import Pair, Subject, ensure_authority, ensure_leaf
from lab.control_plane import ControlPlane
from lab.processes import stop
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.vault_mount import require_used

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-step-ca"),
    pytest.mark.timeout(900),
]

NAME = "stepped"
SERVICES = 3


@pytest.fixture(scope="module")
def step_plane(lab: Lab) -> Iterator[ControlPlane]:
    """A control plane with step-issuer, and a step-ca for each that is declared."""
    with lab.during("stepped", with_=("step-issuer", "step-ca", "node")) as plane:
        yield plane


@pytest.fixture(scope="module")
def domain(make_stack: MakeStack, step_plane: ControlPlane) -> Domain:
    domain = Domain(
        NAME,
        make_stack(NAME),
        (step_plane,),
        issuing={
            "backend": "step-ca",
            "name": f"{NAME}-ca",
            "stable": True,
            "intermediate": {},
            "leaf": {"duration": "24h", "renewBefore": "8h"},
            "stepCa": {"namespace": NAME, "deploy": False, "urls": {"g1": url()}},
        },
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [step_plane.name]}
            for number in range(SERVICES)
        },
    )
    domain.apply()
    return domain


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    """Names of generations that were not used yet."""
    return (f"g{number}" for number in itertools.count(2))


def url() -> str:
    return f"https://{ports.LOOPBACK}:{ports.choose(None, avoid=())}"


def add(domain: Domain, generation: str) -> None:
    domain.add(generation)
    domain.values["issuing"]["stepCa"]["urls"][generation] = url()


def forget(domain: Domain, generation: str) -> None:
    del domain.values["issuing"]["stepCa"]["urls"][generation]


def test_a_generation_that_is_given_up_before_it_issues(
    domain: Domain, fleet: Fleet, generations: Iterator[str]
) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure():
        add(domain, new)
        domain.apply()
        domain.hold_down()
        with domain.edited():
            domain.promote()
            domain.apply()
            domain.hold_down()
        # The commit before: the old one issues again, and the new one stays until its leaves moved.
        domain.anchors[new]["role"], domain.anchors[old]["role"] = "outgoing", "issuing"
        domain.apply()
        domain.hold_down()
        forget(domain, domain.retire())
        domain.apply()
    assert domain.anchors_in_bundles() == {domain.fingerprint(old)}


def test_a_whole_rotation(domain: Domain, fleet: Fleet, generations: Iterator[str]) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure() as handshakes:
        add(domain, new)
        domain.apply()
        domain.hold_down()
        with fleet.meeting():
            domain.promote()
            domain.apply()
        # Another team's, on the issuer of the old generation, which signs as before.
        laggard = domain.certificate(
            "laggard",
            f"{NAME}-ca-{old}-i1-step",
            kind="StepClusterIssuer",
            group="certmanager.step.sm",
        )
        domain.hold_down()
        forget(domain, domain.retire())
        domain.refused(domain.try_apply(), f"Certificate laggard: chains to {old}")
        domain.remove(laggard)
        domain.apply()
        domain.hold_down()
    require_used(fleet.count(handshakes), f"{old}-i1-step", f"{new}-i1-step")
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}
    assert old not in domain.recorded().anchors


@contextlib.contextmanager
def nobody(port: int, directory: Path) -> Iterator[None]:
    """Nothing listens where the step-ca did."""
    del port, directory
    yield


@contextlib.contextmanager
def somebody_else(port: int, directory: Path) -> Iterator[None]:
    """A server of another CA listens there."""
    authority, serving = Pair.at(directory / "ca"), Pair.at(directory / "tls")
    ensure_authority(authority, "somebody else")
    ensure_leaf(serving, Subject(common_name="ca", addresses=("127.0.0.1",)), authority=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(serving.certificate, serving.key)
    with socket.create_server((ports.LOOPBACK, port)) as listening:
        # A server that is closed while it waits does not notice; the time-out lets it look.
        listening.settimeout(0.2)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    with connection, context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def silence(port: int, directory: Path) -> Iterator[None]:
    """Something takes connections there, and never says anything."""
    del directory
    with socket.create_server((ports.LOOPBACK, port)):
        yield


@pytest.mark.parametrize(
    ("instead", "said", "remedy"),
    [
        (nobody, "connection refused", "start the step-ca of this generation"),
        (somebody_else, "certificate signed by unknown authority", "is not the step-ca of this"),
    ],
)
def test_a_step_ca_that_is_away_is_named_and_what_failed_comes_back(
    domain: Domain,
    step_plane: ControlPlane,
    tmp_path: Path,
    instead: Callable[[int, Path], contextlib.AbstractContextManager[None]],
    said: str,
    remedy: str,
) -> None:
    late = [f"{instead.__name__.replace('_', '-')}-{number}" for number in range(2)]
    port = urlsplit(domain.values["issuing"]["stepCa"]["urls"][domain.in_role("issuing")]).port
    assert port is not None
    with domain.edited() as values:
        values["issuing"]["readyTimeout"] = "10s"
        values["services"] |= {name: {"namespace": NAME} for name in late}
        stop([step_plane.paths.pid_file("step-ca")])
        try:
            with instead(port, tmp_path):
                failed = domain.try_apply()
                assert failed.status != 0
                assert said in failed.output
                assert remedy in failed.output
                assert "2 Certificates could not be issued" in domain.rotation("status").stdout
                again = domain.rotation("reissue", "--failed")
                assert again.returncode == 1
                assert remedy in again.stderr, again.stderr
        finally:
            step_plane.up()
        done = domain.rotation("reissue", "--failed")
        assert done.returncode == 0, done.stderr
        assert "2 of 2 reissued" in done.stdout
        domain.apply()
    domain.apply()
    # cert-manager leaves the Secrets, which another test's retirement would wait for.
    for name in late:
        domain.delete(f"/api/v1/namespaces/{NAME}/secrets/{name}-tls")


def test_a_step_ca_that_says_nothing_is_named(
    domain: Domain, step_plane: ControlPlane, tmp_path: Path
) -> None:
    port = urlsplit(domain.values["issuing"]["stepCa"]["urls"][domain.in_role("issuing")]).port
    assert port is not None
    with domain.edited() as values:
        # Well below the 10 s after which step-issuer gives a TLS handshake up (the default of Go's
        # http.Transport): what is told then is a failure, and no silence.
        values["issuing"]["readyTimeout"] = "5s"
        values["services"]["patient"] = {"namespace": NAME}
        stop([step_plane.paths.pid_file("step-ca")])
        try:
            with silence(port, tmp_path):
                failed = domain.try_apply()
                assert failed.status != 0
                assert "has not answered yet" in failed.output, failed.output
                assert "step-issuer waits for a step-ca that says nothing" in failed.output
        finally:
            step_plane.up()
        # Its connection broke, and step-issuer gave up.
        cluster.wait_for(
            lambda: "Certificate patient" in domain.rotation("status").stdout, "a failed request"
        )
        done = domain.rotation("reissue", "--failed")
        assert done.returncode == 0, done.stderr
        domain.apply()
    domain.apply()
    domain.delete(f"/api/v1/namespaces/{NAME}/secrets/patient-tls")
