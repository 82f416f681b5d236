"""A fleet of real mutual TLS workloads over the clusters of a domain, and what they counted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.api import Api, ApiError
from lab.node import mounting_pod, volume
from tests.integration.support.cluster import wait_for
from tests.integration.support.project import PROJECT
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.handshakes import STACKS, Cell, Party

_HERE = Path(__file__).parent
PAUSE_SECONDS = 0.06
_PAIR_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Handshake:
    """One handshake as its client counted it; ``error`` is None when both sides were content.

    The issuers are common names, ``issuing-g2-i1.DOMAIN``; None where it did not come so far.
    """

    at: float
    client: str
    server: str
    client_issuer: str | None
    server_issuer: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Count:
    """The handshakes of a stretch of time."""

    handshakes: tuple[Handshake, ...]
    pairs: frozenset[tuple[str, str]]

    @property
    def failures(self) -> tuple[Handshake, ...]:
        return tuple(each for each in self.handshakes if each.error is not None)

    @property
    def generations(self) -> Counter[tuple[str, str]]:
        """How often which generation of client met which of server, such as ``(g1-i1, g2-i1)``."""
        return Counter(
            (_generation(each.client_issuer), _generation(each.server_issuer))
            for each in self.handshakes
            if each.client_issuer and each.server_issuer
        )

    def require_no_failure(self) -> None:
        """Assert that no handshake failed, and that all pairs had some."""
        shown = "\n".join(map(str, self.failures[:10]))
        assert not self.failures, f"{len(self.failures)} of {len(self.handshakes)}:\n{shown}"
        met = {(each.client, each.server) for each in self.handshakes}
        assert met == self.pairs


def _generation(issuer: str) -> str:
    return issuer.removeprefix("issuing-").partition(".")[0]


class Fleet:
    """The running workloads of every service of a domain; use it as a context manager."""

    def __init__(self, domain: Domain, directory: Path) -> None:
        """Nothing is started yet; ``directory`` gets the logs."""
        self._domain = domain
        self._directory = directory
        self._processes = contextlib.ExitStack()
        self._volumes: dict[str, dict[str, Path]] = {}
        self._members = {
            name: _Member(name=name, cluster=service["clusters"][0], namespace=domain.name)
            for name, service in domain.values["services"].items()
        }

    def __enter__(self) -> Fleet:
        with contextlib.ExitStack() as guarded:
            guarded.push(self._processes)
            self._start_pods()
            self._start_workloads()
            guarded.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """(client, server) of every connection that is made."""
        return frozenset((a, b) for a in self._members for b in self._members if a != b)

    @contextlib.contextmanager
    def without_failure(self) -> Iterator[list[Handshake]]:
        """Count the handshakes within the block, and assert that none failed at any pair."""
        with self.counting() as handshakes:
            yield handshakes
        count = self.count(handshakes)
        print(f"{len(count.handshakes)} handshakes, {len(count.failures)} failed:", end=" ")
        print(", ".join(f"{a} to {b} {n}" for (a, b), n in sorted(count.generations.items())))
        count.require_no_failure()

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[Handshake]]:
        """Collect, when the block ends, the handshakes that ended within it, in order of time."""
        collected: list[Handshake] = []
        offsets = {name: self._log(name).stat().st_size for name in self._members}
        yield collected
        for name, offset in offsets.items():
            with self._log(name).open("rb") as log:
                log.seek(offset)
                lines = log.read().rpartition(b"\n")[0].splitlines()
            for line in lines:
                at, client, server, client_issuer, server_issuer, error = json.loads(line)
                collected.append(
                    Handshake(
                        at=at,
                        client=client,
                        server=server,
                        client_issuer=client_issuer,
                        server_issuer=server_issuer,
                        error=error,
                    )
                )
        collected.sort(key=lambda each: each.at)

    def count(self, handshakes: list[Handshake]) -> Count:
        """Return what was collected, to be judged against all pairs of the fleet."""
        return Count(handshakes=tuple(handshakes), pairs=self.pairs)

    def settle(self) -> None:
        """Wait until every pair has shaken hands once from now on without a failure among them.

        Raises:
            AssertionError: that does not happen within a minute.
        """
        end = time.monotonic() + _PAIR_SECONDS
        met: set[tuple[str, str]] = set()
        while met != self.pairs:
            with self.counting() as handshakes:
                time.sleep(0.5)
            met |= {(each.client, each.server) for each in handshakes if each.error is None}
            if any(each.error for each in handshakes):
                met.clear()
            assert time.monotonic() < end, f"still {len(self.pairs - met)} pairs to go"

    @contextlib.contextmanager
    def meeting(self) -> Iterator[None]:
        """Let every leaf change within the block, then let those of before and after meet.

        Whether running workloads do so is chance: kubelet may bring all leaves in one moment.
        """
        before = self._parties()
        yield
        changed = partial(self._changed_parties, before)
        after = wait_for(changed, "a new leaf of every member")
        cells = [
            Cell(host=self._members[server].dns, client=client_party, server=server_party)
            for client, server in self.pairs
            for client_party, server_party in (
                (before[client], after[server]),
                (after[client], before[server]),
            )
        ]
        for name, shake in STACKS.items():
            assert not any(failures := shake(cells)), f"{name}: {failures}"

    def _changed_parties(self, before: Mapping[str, Party]) -> dict[str, Party] | None:
        now = self._parties()
        return now if all(now[name].chain != before[name].chain for name in now) else None

    def _parties(self) -> dict[str, Party]:
        """What each member has mounted now; the files of one volume are of one state."""
        found = {}
        for name, volumes in self._volumes.items():
            tls, trust = (volumes[kind].joinpath("..data").resolve() for kind in ("tls", "trust"))
            found[name] = Party(
                chain=(tls / "tls.crt").read_text(),
                key=(tls / "tls.key").read_text(),
                roots=(trust / "ca.crt").read_text(),
            )
        return found

    def _start_pods(self) -> None:
        """Give every member a pod on its cluster's node, so that kubelet makes its volumes."""
        domain = self._domain
        for cluster in domain.planes:
            members = [each for each in self._members.values() if each.cluster == cluster]
            if not members:
                continue
            with domain.api(cluster) as api:
                for member in members:
                    api.apply(
                        mounting_pod(
                            member.name,
                            member.namespace,
                            secret=f"{member.name}-tls",
                            bundle=domain.bundle_name,
                        )
                    )
            self._processes.callback(self._remove_pods, cluster, members)
            with domain.api(cluster) as api:
                for member in members:
                    uid = wait_for(partial(_running, api, member), f"pod {member.name}")
                    paths = domain.planes[cluster].paths
                    self._volumes[member.name] = {
                        "tls": volume(paths, pod_uid=uid, kind="secret", name="tls"),
                        "trust": volume(paths, pod_uid=uid, kind="configmap", name="trust"),
                    }

    def _remove_pods(self, cluster: str, members: list[_Member]) -> None:
        with self._domain.api(cluster) as api, contextlib.suppress(ApiError):
            for member in members:
                api.request("DELETE", member.pod, {"gracePeriodSeconds": 0})

    def _start_workloads(self) -> None:
        running = {
            name: self._start(
                "workload",
                {
                    "name": name,
                    **{kind: str(path) for kind, path in self._volumes[name].items()},
                    "pause": PAUSE_SECONDS,
                    "seed": name,
                    "log": str(self._log(name)),
                },
            )
            for name in self._members
        }
        ports = {name: int(_line(process)) for name, process in running.items()}
        for name, process in running.items():
            peers = [
                self._members[other].address(port, self._domain.values["trustDomain"])
                for other, port in ports.items()
                if other != name
            ]
            _tell(process, peers)

    def _start(self, program: str, description: Mapping[str, Any]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(_HERE / f"{program}.py")],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.callback(_end, process)
        _tell(process, description)
        return process

    def _log(self, member: str) -> Path:
        return self._directory / f"{member}.log"


@dataclass(frozen=True, kw_only=True)
class _Member:
    name: str
    cluster: str
    namespace: str

    @property
    def pod(self) -> str:
        """The API path of its pod."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def dns(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    def address(self, port: int, trust_domain: str) -> dict[str, Any]:
        """What a peer knows of it: where it is, and whom to expect there."""
        return {
            "name": self.name,
            "port": port,
            "dns": self.dns,
            "spiffe": f"spiffe://{trust_domain}/ns/{self.namespace}/sa/{self.name}",
        }


def _running(api: Api, member: _Member) -> str | None:
    """The pod's UID, once kubelet has made its volumes."""
    pod = api.request("GET", member.pod)
    return str(pod["metadata"]["uid"]) if pod["status"].get("phase") == "Running" else None


def _tell(process: subprocess.Popen[str], value: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value) + "\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)
