"""How a control plane comes up: look at what runs, start what is missing, wait until it works.

The order matters in one place. The garbage collector learns which kinds exist when it starts and
every 30 seconds after; it knows no object of a kind made in between, so the first delete with
foreground propagation of such an object waits for the next round. CRDs are therefore installed
before the controller manager starts, and it is started again when an ``up`` installs new ones.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import urllib3

from lab import addons, kubeconfig, ports, state, toolchain
from lab.addons import Addon
from lab.api import Api, ApiError, UnreachableError, crd_name, object_path
from lab.certificates import Pair
from lab.errors import LabError
from lab.paths import Paths
from lab.processes import is_alive, read_record, refuse_unknown, start, stop
from lab.programs import API_SERVER, CONTROLLER_MANAGER, ETCD, Pki, Program
from lab.selection import selected

Progress = Callable[[str], None]

# Seconds. A start takes about five on two idle cores; the limit is for a machine that is busy.
_READY_TIMEOUT = 120.0
_POLL = 0.05
# A quarter of the CPU time of a start is Go's own garbage collection (4.1 against 3.1 s, measured);
# this trades it for 0.25 GB more, within bounds.
_GO_RUNTIME = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
_LOG_LINES = 8


class Startup:
    """One run of ``up``; the caller holds the control plane's lock."""

    def __init__(
        self,
        paths: Paths,
        with_: Iterable[str],
        *,
        progress: Progress,
        cancelled: threading.Event,
    ) -> None:
        """Nothing is started or written yet; see ``ControlPlane.up`` for the arguments."""
        self._paths = paths
        self._pki = Pki(paths=paths)
        self._progress = progress
        self._cancelled = cancelled
        remembered = state.load(paths.state)
        names = tuple(sorted({*remembered.addons, *with_}))
        self._selection = selected(names)
        self._addons, self._servers = self._selection.addons, self._selection.servers
        self._state = state.State(ports=remembered.ports, addons=names)
        self._binaries: Mapping[str, Path] = {}
        self._started: list[str] = []

    def run(self) -> tuple[str, ...]:
        """Bring everything up; return the names of the processes that had to be started.

        Raises:
            LabError: a process ended or did not become ready, with the end of its log; or one of an
                earlier release cannot be told from others.
        """
        refuse_unknown(self._paths.pid_files().values())
        self._binaries = self._selection.binaries()
        self._pki.ensure()
        for addon in self._addons:
            addon.ensure_certificates(self._paths)
        state.save(self._paths.state, self._state)
        # Known before Kubernetes starts, which does more where there is a node.
        for addon in self._addons:
            if not set(addon.program.ports) <= set(self._state.ports):
                self._choose_ports(addon.program)

        for server in self._servers:
            server.prepare(self._paths, partial(self._stop, server.program))
            self._ensure(server.program)
        self._ensure(ETCD)
        self._ensure(API_SERVER)
        self._write_kubeconfigs()
        with contextlib.closing(self._api()) as api:
            self._await("API server", partial(_unready, api), ETCD, API_SERVER)
            if self._install(api):
                self._stop(CONTROLLER_MANAGER)
            self._ensure(CONTROLLER_MANAGER)
            for addon in self._addons:
                self._ensure(addon.program)
                for configuration in addon.admission(self._paths, self._state.ports):
                    api.apply(configuration)
            self._await_garbage_collector(api)
            for addon in self._addons:
                url = addon.readiness_url(self._state.ports)
                self._await(addon.name, partial(_fault, api, addon, url), addon.program)
        for server in self._servers:
            step = partial(server.advance, self._paths, self._state.ports)
            self._await(server.program.name, step, server.program)
        return tuple(self._started)

    # Processes

    def _ensure(self, program: Program) -> None:
        """Have ``program`` run with its present settings, on its earlier ports if they are free."""
        pid_file = self._paths.pid_file(program.name)
        record = read_record(pid_file)
        if record is not None:
            if not is_alive(record):
                self._progress(f"{program.name} (pid {record.pid}) has died: starting it again")
            elif record.fingerprint == self._fingerprint(program):
                return
            else:
                self._progress(f"{program.name} runs with other settings: starting it again")
                self._stop(program)
        self._choose_ports(program)
        spec = program.spec(self._paths, self._state.ports, self._binaries[program.name])
        log = self._paths.log(program.name)
        start(spec, pid_file=pid_file, log=log, environment=self._environment)
        self._started.append(program.name)

    def _fingerprint(self, program: Program) -> str | None:
        """Of what should run; None where a port is not known, as when the state was lost."""
        if not set(program.ports) <= set(self._state.ports):
            return None
        binary = self._binaries[program.name]
        return program.spec(self._paths, self._state.ports, binary).fingerprint()

    def _choose_ports(self, program: Program) -> None:
        chosen = dict(self._state.ports)
        for purpose in program.ports:
            remembered = chosen.pop(purpose, None)
            chosen[purpose] = ports.choose(remembered, avoid=chosen.values())
        self._state = state.State(ports=chosen, addons=self._state.addons)
        state.save(self._paths.state, self._state)

    def _stop(self, program: Program) -> None:
        stop([self._paths.pid_file(program.name)])

    @property
    def _environment(self) -> Mapping[str, str]:
        # Little is inherited: no proxy, KUBECONFIG or GODEBUG of the user's shell matters here.
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}
        return {**kept, **_GO_RUNTIME, "HOME": str(self._paths.directory)}

    # Access

    def _write_kubeconfigs(self) -> None:
        paths, pki = self._paths, self._pki
        owners: dict[Path, tuple[str, Pair]] = {
            paths.kubeconfig: (f"{paths.name}-admin", pki.admin),
            pki.controller_manager_kubeconfig: (CONTROLLER_MANAGER.name, pki.controller_manager),
            **{a.kubeconfig(paths): (a.name, a.client(paths)) for a in self._addons},
        }
        for path, (user, client) in owners.items():
            content = kubeconfig.render(
                cluster=paths.name,
                user=user,
                server=self._server,
                authority=pki.authority.certificate,
                client=client,
            )
            kubeconfig.write(path, content)

    @property
    def _server(self) -> str:
        return f"https://{ports.LOOPBACK}:{self._state.ports[API_SERVER.name]}"

    def _api(self) -> Api:
        authority = str(self._pki.authority.certificate)
        return Api(server=self._server, authority=authority, client=self._pki.admin)

    # Objects

    def _install(self, api: Api) -> bool:
        """Apply what the add-ons need; True if kinds came into being that were not there before."""
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": addons.NAMESPACE}})
        new = []
        for addon in self._addons:
            share = toolchain.share(addon.name)
            for path in sorted((share / "crds").glob("*.yaml")):
                text = path.read_text(encoding="utf-8")
                crd = object_path("CustomResourceDefinition", crd_name(text))
                if not api.exists(crd):
                    new.append(crd)
                api.apply_text(crd, text)
            for manifest in addon.grants(share):
                api.apply(manifest)
        if new:
            self._await(f"{len(new)} new CRDs", partial(_unestablished, api, new), API_SERVER)
        return bool(new)

    # Readiness

    def _await_garbage_collector(self, api: Api) -> None:
        """Wait until a delete with foreground propagation (as by pulumi-kubernetes) works."""
        collection = f"/api/v1/namespaces/{addons.NAMESPACE}/configmaps"
        name = "lab-garbage-collector-probe"
        path = f"{collection}/{name}"
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        # One may be left from an `up` that was interrupted here.
        if not api.exists(path):
            api.request("POST", collection, probe)
        api.request("DELETE", path, {"propagationPolicy": "Foreground"})

        def undeleted() -> str | None:
            return "a deleted ConfigMap is still there" if api.exists(path) else None

        self._await("garbage collector", undeleted, CONTROLLER_MANAGER)

    def _await(self, what: str, fault: Callable[[], str | None], *needed: Program) -> None:
        """Poll ``fault`` until it finds none; give up at once when a needed process has ended."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while (found := fault()) is not None:
            for program in needed:
                if not is_alive(read_record(self._paths.pid_file(program.name))):
                    raise LabError(self._complaint(program, f"{program.name} has ended"))
            if self._cancelled.is_set():
                raise LabError(f"{self._paths.name}: interrupted while waiting for {what}")
            if time.monotonic() > deadline:
                problem = f"{what} not ready after {_READY_TIMEOUT:.0f} s: {found}"
                raise LabError(self._complaint(needed[-1], problem))
            self._cancelled.wait(_POLL)
        self._progress(f"{what} ready")

    def _complaint(self, program: Program, problem: str) -> str:
        log = self._paths.log(program.name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        shown = "\n".join(f"    {line[:300]}" for line in lines) or "    (it is empty)"
        return f"{self._paths.name}: {problem}; the end of {log}:\n{shown}"


def _unready(api: Api) -> str | None:
    try:
        api.request("GET", "/readyz")
    except (ApiError, UnreachableError) as error:
        return str(error)
    return None


def _unestablished(api: Api, crds: Iterable[str]) -> str | None:
    """The first of ``crds`` of whose kind no objects can be made yet."""
    for crd in crds:
        conditions = api.request("GET", crd).get("status", {}).get("conditions", [])
        if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return f"{crd} is not established"
    return None


def _fault(api: Api, addon: Addon, readiness_url: str) -> str | None:
    """Why the add-on is not ready, or the error of a dry run through its webhook."""
    try:
        answer = urllib3.request("GET", readiness_url, retries=False, timeout=2)
        if answer.status != 200:
            said = answer.data.decode(errors="replace").strip()
            return f"{readiness_url}: {answer.status} {said}"
        if addon.probe is not None:
            api.request("POST", f"{addon.probe_path}?dryRun=All", addon.probe)
    except (urllib3.exceptions.HTTPError, ApiError) as error:
        return str(error)
    return None
