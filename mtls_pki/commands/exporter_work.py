"""The work of ``exporter``: a reading a round, until it is interrupted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import make_wsgi_app

from mtls_pki.clusters.machines import rows
from mtls_pki.clusters.observed_domain import observe_domain
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say
from mtls_pki.registry import sources_of
from mtls_pki.settings.model import Settings
from mtls_pki.watch.exposition import LastReading
from mtls_pki.watch.server import MetricsServer, ServedFiles


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Where it listens, and whom it serves.

    Attributes:
        certificate: of the server; None: it serves without TLS.
        key: of that certificate.
        client_ca: who may ask; None: everybody who reaches it.
    """

    address: str
    port: int
    certificate: Path | None
    key: Path | None
    client_ca: Path | None

    @contextlib.contextmanager
    def answering(self, reading: LastReading) -> Iterator[None]:
        """Answer inside.

        Raises:
            CommandError: it cannot listen there, or the files are no certificate and key.
        """
        if (self.certificate is None) != (self.key is None):
            raise CommandError("--certificate and --key belong together: give both, or none")
        if self.client_ca is not None and self.certificate is None:
            raise CommandError(
                "--client-ca needs --certificate and --key: without TLS nobody shows a certificate"
            )
        files = None
        if self.certificate is not None and self.key is not None:
            files = ServedFiles(
                certificate=self.certificate, key=self.key, client_ca=self.client_ca
            )
        try:
            server = MetricsServer(
                self.address,
                self.port,
                make_wsgi_app(reading.registry),
                files=files,
                complain=complain,
            )
        except OSError as error:
            raise CommandError(
                f"cannot serve on {self.address}:{self.port}: {error.strerror or error}; see "
                "--address, --port, --certificate, --key and --client-ca"
            ) from None
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def export(
    settings: Callable[[], Settings],
    *,
    interval: timedelta,
    serving: Serving,
    textfile: Path | None,
    once: bool,
) -> ExitStatus:
    """Read the clusters again and again, and show what was seen last.

    A round that fails leaves what is known, which then says by itself how old it is.

    Args:
        settings: reads the stack file; called in each round, since it changes in a rotation.
        interval: from the beginning of one round to that of the next.
        serving: to whom it is served, where there is no ``textfile``.
        textfile: written in each round.
        once: end after the first round.

    Raises:
        CommandError: the stack file cannot be read at the start, or nothing can be served or
            written.
    """
    reading = LastReading(settings().trust_domain)
    with contextlib.ExitStack() as ending:
        if textfile is None:
            ending.enter_context(serving.answering(reading))
            say(f"serving on {serving.address}:{serving.port}; Ctrl-C ends it")
        try:
            while True:
                begin = time.monotonic()
                good = _round(settings, reading)
                if textfile is not None:
                    _write(reading, textfile)
                if once:
                    return ExitStatus.DONE if good else ExitStatus.EVIDENCE_MISSING
                time.sleep(max(0.0, begin + interval.total_seconds() - time.monotonic()))
        except KeyboardInterrupt:
            return ExitStatus.DONE


def _round(settings: Callable[[], Settings], reading: LastReading) -> bool:
    """Read once; whether everything could be read."""
    begin = time.monotonic()
    try:
        read = settings()
        domain = observe_domain(read, sources=sources_of(read))
        machines = tuple(rows(read))
        reading.take(domain, seconds=time.monotonic() - begin, machines=machines)
    except CommandError as error:
        complain(str(error))
        reading.failed()
        return False
    for each in domain.evidence.unreachable:
        complain(f"{each.cluster} could not be read: {each.error}")
    return not domain.evidence.unreachable


def _write(reading: LastReading, path: Path) -> None:
    try:
        reading.write(str(path))
    except OSError as error:
        raise CommandError(f"--textfile {path}: {error.strerror}") from None
