"""An update whose state lies in a bucket far away: a real S3 server behind a slow line."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bench import configuration
from bench.measurement import Record
from bench.progress import Progress
from bench.scene import Project, make_project
from lab.control_plane import ControlPlane
from lab.ports import LOOPBACK
from lab.project_copy import CHECKOUT
from tests.integration.support.s3 import S3

UP, UPDATE = "bucket-up", "bucket-update"
DELAY = timedelta(milliseconds=30)
"""Of each packet, each way: a round trip takes twice as long."""

_BUCKET, _USER = "states", "ci"
_CHUNK = 1 << 16


def measure(root: Path, record: Record, size: int, progress: Progress) -> None:
    """Measure the same Certificates by ``mtls-pki up`` and by `pulumi up`, each on a fresh stack.

    Raises:
        BenchError: a step failed.
        LabError: a tool, the control plane or the S3 server cannot be had.
    """
    progress(f"{size} certificates, slow bucket: starting a control plane and an S3 server")
    with ControlPlane(root, "bench") as plane, _server(plane) as server, _slow(server) as port:
        for subject, what in ((UPDATE, "mtls-pki up"), (UP, "pulumi up")):
            project = make_project(
                root / f"{subject}-program",
                stack=f"bench-{subject}",
                environment=_behind(server, port),
            )
            project.run("stack", "init")
            _configure(project, plane, subject, count=0)
            project.update()
            _configure(project, plane, subject, count=size)
            progress(f"{size} certificates, slow bucket: {what}, until all are Ready")
            if subject == UP:
                record.add(subject, size, seconds=project.up().seconds)
            else:
                previewed = project.preview_of_changes().seconds
                record.add(subject, size, seconds=project.update().seconds - previewed)


def _configure(project: Project, plane: ControlPlane, subject: str, count: int) -> None:
    values = configuration.settings(
        cluster=plane.name,
        kubeconfig=str(plane.kubeconfig),
        anchors={"g1": "issuing"},
        count=count,
        hold_down=timedelta(seconds=1),
    )
    project.configure(configuration.apart(values, subject))


@contextlib.contextmanager
def _server(plane: ControlPlane) -> Iterator[S3]:
    server = S3(plane.paths, users=(_USER,))
    try:
        server.make_bucket(_BUCKET, {_USER: CHECKOUT / "deploy/s3-policy.json"})
        yield server
    finally:
        server.stop()


def _behind(server: S3, port: int) -> dict[str, str]:
    """Return the environment of who reaches the bucket through ``port``."""
    environment = server.environment(_BUCKET, _USER)
    near, far = (f"{LOOPBACK}:{each}" for each in (urlsplit(server.endpoint).port, port))
    url = environment["PULUMI_BACKEND_URL"].replace(near, far)
    return {**environment, "PULUMI_BACKEND_URL": url}


@contextlib.contextmanager
def _slow(server: S3) -> Iterator[int]:
    """Pass connections on to the server, everything ``DELAY`` late; yields the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="slow-line", daemon=True)
    thread.start()
    target = urlsplit(server.endpoint).port

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(connected, LOOPBACK, 0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(LOOPBACK, target)
        await asyncio.gather(_late(reader, there[1]), _late(there[0], writer))

    listening = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, in its order and each piece as late as the others."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            loop.call_later(DELAY.total_seconds(), _write, writer, data)
    loop.call_later(DELAY.total_seconds(), writer.close)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
