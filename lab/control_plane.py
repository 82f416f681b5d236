"""Kubernetes control planes on loopback: etcd, API server, controllers, cert-manager, add-ons.

The API of the lab. ``ControlPlane.up`` is a reconciliation: it starts what is missing or runs with
other settings, applies what cert-manager and the add-ons need, and returns when a Certificate could
be issued. Whatever an earlier run left behind, by Ctrl-C, a crash or a reboot, the next one
repairs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from lab import kubeconfig, ports, state
from lab.api import Api
from lab.certificates import Pair, Subject, ensure_leaf
from lab.errors import LabError
from lab.paths import DEFAULT_NAME, Paths
from lab.processes import is_alive, read_record, refuse_unknown, stop
from lab.programs import API_SERVER, PROGRAMS, Pki
from lab.selection import selected
from lab.servers import Server
from lab.startup import Progress, Startup


class Health(StrEnum):
    """What ``status`` finds of a process."""

    READY = "ready"
    UNREADY = "not answering"
    SEALED = "sealed"
    DEAD = "dead"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """One process of one control plane as it is now.

    Attributes:
        pid: of the running process, or of the one that died; None if it is stopped.
        since: when that process was started, in seconds since the epoch.
        usage: shell lines for the clients of a server that the control plane itself does not use.
    """

    cluster: str
    process: str
    health: Health
    pid: int | None
    port: int | None
    since: float | None
    log: Path
    usage: tuple[str, ...] = ()


def _silent(_: str) -> None:
    pass


class ControlPlane:
    """The control plane ``name``, with everything it has under ``root/name``.

    As a context manager it is up inside and removed, data included, afterwards.
    """

    def __init__(self, root: Path, name: str = DEFAULT_NAME, *, with_: Iterable[str] = ()) -> None:
        """Nothing is started or written yet.

        Args:
            root: directory of all control planes, such as ``.lab``.
            name: name of the control plane, its kubeconfig context and its cluster.
            with_: names of optional add-ons; those of earlier starts are kept.

        Raises:
            LabError: a name is not valid.
        """
        self.paths = Paths(root=root, name=name)
        self.with_ = tuple(with_)
        selected(self.with_)

    def __enter__(self) -> ControlPlane:
        try:
            self.up()
        except BaseException:
            self.down(purge=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down(purge=True)

    @property
    def name(self) -> str:
        return self.paths.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (``system:masters``), good once ``up`` has returned."""
        return self.paths.kubeconfig

    @property
    def server(self) -> str:
        """URL of the API server.

        Raises:
            LabError: it was never started.
        """
        port = state.load(self.paths.state).ports.get(API_SERVER.name)
        if port is None:
            raise LabError(f"{self.name} was never started: run `python -m lab up {self.name}`")
        return f"https://{ports.LOOPBACK}:{port}"

    def api(self) -> Api:
        """A client with the administrator's rights; close it after use."""
        pki = Pki(paths=self.paths)
        authority = str(pki.authority.certificate)
        return Api(server=self.server, authority=authority, client=pki.admin)

    def up(
        self, progress: Progress = _silent, cancelled: threading.Event | None = None
    ) -> tuple[str, ...]:
        """Start what does not run, and return when all of it is ready.

        Args:
            progress: called with a line on each step.
            cancelled: when set, ``up`` gives up at the next chance; a later ``up`` goes on.

        Returns:
            names of the processes that were started; empty if all ran already.

        Raises:
            LabError: a process ended or did not become ready, with the end of its log.
        """
        event = cancelled or threading.Event()
        with self._locked(progress):
            return Startup(self.paths, self.with_, progress=progress, cancelled=event).run()

    def down(self, *, purge: bool = False) -> tuple[str, ...]:
        """Stop its processes, and no others.

        Args:
            purge: remove its data and certificates too.

        Returns:
            names of the processes that were running.
        """
        if not self.paths.directory.exists():
            return ()
        with self._locked():
            pid_files = self.paths.pid_files()
            last = [program.name for program in reversed(PROGRAMS)]
            first = [name for name in pid_files if name not in last]
            stopped = stop(pid_files[name] for name in (*first, *last) if name in pid_files)
            if purge:
                shutil.rmtree(self.paths.directory)
        return stopped

    def status(self) -> tuple[ProcessStatus, ...]:
        """The state of each process that the control plane should have, in order of starting.

        Raises:
            LabError: a process of an earlier release cannot be told from others.
        """
        refuse_unknown(self.paths.pid_files().values())
        wanted = selected(state.load(self.paths.state).addons)
        servers = {server.program.name: server for server in wanted.servers}
        return tuple(self._process_status(p.name, servers.get(p.name)) for p in wanted.programs)

    def kubeconfig_for(self, user: str, groups: Iterable[str], path: Path) -> Path:
        """Write a kubeconfig (0600) for ``user`` in ``groups``, who may do what RBAC grants them.

        Args:
            user: user name for the API server.
            groups: its groups, in addition to ``system:authenticated``.
            path: where to write.

        Returns:
            ``path``.

        Raises:
            LabError: the control plane was never started.
        """
        server, pki = self.server, Pki(paths=self.paths)
        subject = Subject(common_name=user, organizations=tuple(groups))
        key = hashlib.sha256(repr(subject).encode()).hexdigest()[:16]
        client = Pair.at(self.paths.secret("users") / key)
        ensure_leaf(client, subject, authority=pki.authority)
        content = kubeconfig.render(
            cluster=self.name,
            user=user,
            server=server,
            authority=pki.authority.certificate,
            client=client,
        )
        kubeconfig.write(path, content)
        return path

    def _process_status(self, process: str, server: Server | None) -> ProcessStatus:
        chosen = state.load(self.paths.state).ports
        record = read_record(self.paths.pid_file(process))
        if record is None:
            health = Health.STOPPED
        elif not is_alive(record):
            health = Health.DEAD
        elif record.port is not None and not ports.accepts(record.port):
            health = Health.UNREADY
        elif server is not None and server.sealed(self.paths, chosen):
            health = Health.SEALED
        else:
            health = Health.READY
        return ProcessStatus(
            cluster=self.name,
            process=process,
            health=health,
            pid=record.pid if record else None,
            port=record.port if record else None,
            since=record.since if record else None,
            log=self.paths.log(process),
            usage=server.usage(self.paths, chosen) if server is not None and record else (),
        )

    @contextlib.contextmanager
    def _locked(self, progress: Progress = _silent) -> Iterator[None]:
        """Let one program at a time change it; the kernel drops the lock of a dead one."""
        self.paths.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("waiting for another `python -m lab` to finish")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def up_all(
    planes: Sequence[ControlPlane],
    progress: Callable[[ControlPlane, str], None] = lambda plane, text: None,
) -> tuple[tuple[str, ...], ...]:
    """Bring up several control planes at the same time.

    Args:
        planes: at least one.
        progress: called with a line on each step of each.

    Returns:
        what ``ControlPlane.up`` returns, in the order of ``planes``.

    Raises:
        LabError: the message of every control plane that did not come up.
        KeyboardInterrupt: after all have stopped waiting.
    """
    # The tools first, so that no two threads build them.
    optional = [name for plane in planes for name in plane.with_]
    selected(optional).binaries()
    cancelled = threading.Event()

    def start(plane: ControlPlane) -> tuple[str, ...] | LabError:
        try:
            return plane.up(lambda text: progress(plane, text), cancelled)
        except LabError as error:
            return error

    with ThreadPoolExecutor(max_workers=len(planes)) as pool:
        try:
            results = list(pool.map(start, planes))
        except KeyboardInterrupt:
            cancelled.set()
            raise
    failures = [str(result) for result in results if isinstance(result, LabError)]
    if failures:
        raise LabError("\n".join(failures))
    return tuple(result for result in results if not isinstance(result, LabError))
