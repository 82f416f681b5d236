"""One pod for each service of a drill, and the handshakes between what kubelet brings them."""

from __future__ import annotations

import shutil
import ssl
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.errors import LabError
from lab.node import mounting_pod, volume
from lab.waiting import wait_for
from mtls_pki.settings.model import Settings

_PAUSE_SECONDS = 0.2
_ARRIVAL_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Member:
    """One service in one cluster.

    Attributes:
        name: ``service`` or, where it is in several clusters, ``service in cluster``.
        cluster: where its pod is.
        namespace: of its pod.
        secret: of its leaf.
        dns: a name of its leaf; None where it has none, so that nobody asks for it by name.
        usages: of its leaf.
    """

    name: str
    cluster: str
    namespace: str
    secret: str
    dns: str | None
    usages: tuple[str, ...]


@dataclass(frozen=True)
class Break:
    """A handshake that failed: who asked whom, and what OpenSSL said."""

    client: str
    server: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """What one pod sees: directories of kubelet, whose ``..data`` is swapped at once."""

    tls: Path
    trust: Path
    key: str

    def state(self) -> tuple[Path, Path]:
        """Return the present files of both volumes, each of one state."""
        return self.tls.joinpath("..data").resolve(), self.trust.joinpath("..data").resolve()

    @property
    def leaf(self) -> str:
        """Its chain, PEM."""
        return self.state()[0].joinpath("tls.crt").read_text()

    @property
    def roots(self) -> str:
        """Its trust bundle, PEM."""
        return self.state()[1].joinpath(self.key).read_text()


def start_pods(
    planes: Mapping[str, ControlPlane], members: Sequence[Member], settings: Settings
) -> dict[str, Mounted]:
    """Give every member a pod on its cluster's node; return what each of them has mounted.

    Raises:
        LabError: kubelet did not make the volumes.
    """
    bundle, key = settings.trust.name, settings.trust.key
    found: dict[str, Mounted] = {}
    for cluster, plane in planes.items():
        api = plane.api()
        try:
            here = [each for each in members if each.cluster == cluster]
            for member in here:
                api.apply(
                    mounting_pod(
                        _pod_name(member), member.namespace, secret=member.secret, bundle=bundle
                    )
                )
            for member in here:
                made = wait_for(partial(_running, api, member), seconds=_ARRIVAL_SECONDS)
                if made is None:
                    raise LabError(f"no volumes for {member.name} in cluster {cluster}")
                found[member.name] = Mounted(
                    tls=volume(plane.paths, pod_uid=made, kind="secret", name="tls"),
                    trust=volume(plane.paths, pod_uid=made, kind="configmap", name="trust"),
                    key=key,
                )
        finally:
            api.close()
    return found


def kept(mounted: Mapping[str, Mounted], directory: Path) -> dict[str, Mounted]:
    """Return copies of all that is mounted now: what a workload has that never reads again."""
    found = {}
    for number, (name, each) in enumerate(mounted.items()):
        place = directory / str(number)
        for state, copied in zip(each.state(), ("tls", "trust"), strict=True):
            shutil.copytree(state, place / copied / "..data")
        found[name] = Mounted(tls=place / "tls", trust=place / "trust", key=each.key)
    return found


def can_meet(client: Member, server: Member) -> bool:
    """Whether the usages of their leaves let the one be a client of the other."""
    different = client.name != server.name
    return different and "client auth" in client.usages and "server auth" in server.usages


def refusals(
    members: Sequence[Member], old: Mapping[str, Mounted], now: Mapping[str, Mounted]
) -> Counter[str]:
    """Return what goes wrong between each member as it was and the next one as it is."""
    found: Counter[str] = Counter()
    for place, member in enumerate(members):
        peer = members[(place + 1) % len(members)]
        for client, server, dns, role in (
            (old[member.name], now[peer.name], peer.dns, "as a client"),
            (now[peer.name], old[member.name], member.dns, "as a server"),
        ):
            asking, asked = (member, peer) if role == "as a client" else (peer, member)
            if can_meet(asking, asked):
                problem = handshake(client, server, dns)
                if problem is not None:
                    found[f"{role}: {problem}"] += 1
    return found


class Handshakes:
    """Handshakes in rounds, in a thread: in each round everybody is once client and once server."""

    def __init__(self, members: Sequence[Member], mounted: Mapping[str, Mounted]) -> None:
        """Begin when the context is entered."""
        self._members, self._mounted = members, mounted
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._made = 0
        self._broken: Counter[Break] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Handshakes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def take(self) -> tuple[int, Counter[Break]]:
        """Return how many there were since the last call, and those that failed."""
        with self._lock:
            taken = self._made, self._broken
            self._made, self._broken = 0, Counter()
        return taken

    def _run(self) -> None:
        shift = 0
        while not self._stop.wait(_PAUSE_SECONDS):
            shift = shift % max(1, len(self._members) - 1) + 1
            for place, client in enumerate(self._members):
                server = self._members[(place + shift) % len(self._members)]
                if can_meet(client, server):
                    self._shake(client, server)

    def _shake(self, client: Member, server: Member) -> None:
        try:
            problem = handshake(self._mounted[client.name], self._mounted[server.name], server.dns)
        except FileNotFoundError:
            # kubelet removed this state of a volume while it was read.
            return
        with self._lock:
            self._made += 1
            if problem is not None:
                self._broken[Break(client.name, server.name, problem)] += 1


def handshake(client: Mounted, server: Mounted, dns: str | None) -> str | None:
    """Shake hands in memory by mutual TLS, and return what OpenSSL refused, None for nothing.

    Raises:
        FileNotFoundError: this state of a volume is no longer there.
    """
    try:
        asking = _context(ssl.PROTOCOL_TLS_CLIENT, client)
        answering = _context(ssl.PROTOCOL_TLS_SERVER, server)
    except ssl.SSLError as error:
        return f"files that OpenSSL does not take: {error.reason}"
    asking.check_hostname = dns is not None
    answering.verify_mode = ssl.CERT_REQUIRED
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        ("the client", asking.wrap_bio(to_client, to_server, server_hostname=dns)),
        ("the server", answering.wrap_bio(to_server, to_client, server_side=True)),
    ]
    # A full TLS 1.3 handshake takes three flights.
    for _ in range(4):
        for side, connection in tuple(sides):
            try:
                connection.do_handshake()
                sides.remove((side, connection))
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return f"{side} refused: {error.verify_message}"
            except ssl.SSLError as error:
                return f"{side}: {error.reason}"
    return "the handshake did not come to an end" if sides else None


def _context(protocol: ssl._SSLMethod, party: Mounted) -> ssl.SSLContext:
    tls, trust = party.state()
    context = ssl.SSLContext(protocol)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    context.load_verify_locations(trust / party.key)
    return context


def _running(api: Api, member: Member) -> str | None:
    """The UID of its pod, once kubelet has made the volumes."""
    path = f"/api/v1/namespaces/{member.namespace}/pods/{_pod_name(member)}"
    pod = api.request("GET", path)
    return str(pod["metadata"]["uid"]) if pod["status"].get("phase") == "Running" else None


def _pod_name(member: Member) -> str:
    return f"drill-{member.secret}"
