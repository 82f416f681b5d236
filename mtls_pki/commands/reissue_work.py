"""The work of ``reissue``: what hangs on an older CA, or failed, cluster by cluster."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtls_pki.clusters.connection import cluster_address
from mtls_pki.clusters.issuing_condition import CertificateClient
from mtls_pki.clusters.reissue import Pace, Reissue, Run, named
from mtls_pki.clusters.reissue_candidates import (
    Stale,
    read_failed,
    read_stale,
    read_target,
    require_recorded,
)
from mtls_pki.commands.output import console, print_json
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say
from mtls_pki.rotation.report import REPORT_SCHEMA
from mtls_pki.rotation.text import printable
from mtls_pki.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class ReissueOptions:
    """What the command line says.

    Attributes:
        failed: have issued again what failed, on whichever of the stack's issuers, instead of what
            hangs on an older CA.
        namespaces: to look in; empty for all.
        batch: Certificates under way at most.
        rate: requests a second to one API server at most.
        timeout: how long a batch may take; None: ``issuing.readyTimeout``.
        dry_run: only list.
        as_json: print one JSON document instead of lines.
    """

    failed: bool
    namespaces: tuple[str, ...]
    batch: int
    rate: float
    timeout: timedelta | None
    dry_run: bool
    as_json: bool


@dataclass(kw_only=True)
class _Work:
    """What is to be done in one cluster, and how far it has come.

    Attributes:
        generation: that all are to be issued from; None where each keeps its own issuer.
        still_stale: reads which of them were issued by what they are to be rid of.
        nothing: says that there is nothing to be done.
    """

    client: CertificateClient
    generation: str | None
    stale: Sequence[Stale]
    still_stale: Callable[[], Iterable[Stale]]
    nothing: str
    run: Run

    @property
    def source(self) -> str:
        """What they are issued from, for a sentence; empty where each keeps its own issuer."""
        return f" from {self.generation}" if self.generation else ""

    @property
    def cluster(self) -> str:
        """The cluster's name in the stack."""
        return self.client.cluster.name

    def json(self) -> dict[str, Any]:
        done = {certificate.uid for certificate in self.run.done}
        return {
            "cluster": self.cluster,
            "generation": self.generation,
            "stale": len(self.stale),
            "reissued": len(self.run.done),
            "failed": [
                {"certificate": place, "why": why} for place, why in self.run.failed.items()
            ],
            "left": [
                {"certificate": each.certificate.place, "why": each.why}
                for each in self.stale
                if each.certificate.uid not in done
            ],
        }


def reissue(settings: Settings, options: ReissueOptions) -> ExitStatus:
    """Run the command; it is DONE when all that was to be issued again was.

    Raises:
        CommandError: nothing can be done, or going on is pointless.
    """
    if not settings.issuing.stable and not options.failed:
        raise CommandError(
            "issuing.stable is false, so there is no stable issuer and nothing that hangs on it; "
            "Certificates on the issuer of a generation move when their issuerRef changes (what "
            "failed on any issuer is issued again with --failed)"
        )
    # Every cluster is read before any is touched.
    read = _read_failed if options.failed else _read_stale
    works = [read(settings, name, options.namespaces) for name in settings.clusters]
    require_recorded((work.client.cluster for work in works), settings)
    if options.dry_run:
        _list(works, options)
        return ExitStatus.DONE
    try:
        for work in works:
            _do(settings, work, options)
    except (KeyboardInterrupt, CommandError) as error:
        _report(works, options)
        if isinstance(error, KeyboardInterrupt):
            complain(
                "interrupted; cert-manager finishes what is under way, and the same "
                "command again does what is left"
            )
            return ExitStatus.INTERRUPTED
        raise
    _report(works, options)
    return ExitStatus.ERROR if any(work.run.failed for work in works) else ExitStatus.DONE


def _read_stale(settings: Settings, name: str, namespaces: tuple[str, ...]) -> _Work:
    client = CertificateClient(cluster_address(settings, name))
    target = read_target(client.cluster, settings)

    def read() -> tuple[Stale, ...]:
        return read_stale(client.cluster, settings, target, namespaces)

    # What failed before comes last, so that it cannot keep the others waiting.
    stale = sorted(read(), key=lambda one: one.certificate.failure is not None)
    return _Work(
        client=client,
        generation=target.generation,
        stale=stale,
        still_stale=read,
        nothing=f"nothing hangs on a CA older than that of {target.generation}",
        run=Run(total=len(stale)),
    )


def _read_failed(settings: Settings, name: str, namespaces: tuple[str, ...]) -> _Work:
    client = CertificateClient(cluster_address(settings, name))
    failed = read_failed(client.cluster, settings, namespaces)
    return _Work(
        client=client,
        generation=None,
        stale=failed,
        still_stale=tuple,
        nothing="no Certificate's last issuance failed",
        run=Run(total=len(failed)),
    )


def _do(settings: Settings, work: _Work, options: ReissueOptions) -> None:
    if not work.stale:
        return
    with _progress(work, quiet=options.as_json) as tell:
        Reissue(
            certificates=work.client,
            pace=Pace(rate=options.rate),
            batch=options.batch,
            timeout=options.timeout or settings.issuing.ready_timeout,
            message=f"to be issued{work.source or ' again'}: mtls-pki reissue",
            moved=work.still_stale,
            tell=tell,
        )(work.run, work.stale)


@contextlib.contextmanager
def _progress(work: _Work, *, quiet: bool) -> Iterator[Callable[[Run], None]]:
    """Show progress on standard error: a bar on a terminal, else a line a batch."""
    if quiet or not sys.stderr.isatty():
        yield _lines(work, quiet=quiet)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    elapsed = (TextColumn("reissued"), TimeElapsedColumn())
    with Progress(*columns, *elapsed, console=Console(stderr=True)) as bar:
        task = bar.add_task(work.cluster, total=work.run.total)
        yield lambda run: bar.update(task, completed=len(run.done) + len(run.failed))


def _lines(work: _Work, *, quiet: bool) -> Callable[[Run], None]:
    def tell(run: Run) -> None:
        if not quiet and not run.under_way:
            say(f"{work.cluster}: {len(run.done)} of {run.total} reissued")

    return tell


def _list(works: Sequence[_Work], options: ReissueOptions) -> None:
    if options.as_json:
        _print_json(works, dry_run=True)
        return
    for work in works:
        for each in work.stale:
            console().print(f"{work.cluster}/{each.certificate.place}: {printable(each.why)}")
    say(f"{sum(len(work.stale) for work in works)} Certificates would be issued again")


def _report(works: Sequence[_Work], options: ReissueOptions) -> None:
    if options.as_json:
        _print_json(works, dry_run=False)
        return
    for work in works:
        run = work.run
        parts = [f"{len(run.done)} of {run.total} reissued{work.source}"]
        if run.under_way:
            parts.append(f"{len(run.under_way)} under way")
        if run.untouched:
            parts.append(f"{run.untouched} left")
        if run.failed:
            parts.append(f"{len(run.failed)} failed: {printable(named(run.failed))}")
        print(f"{work.cluster}: {'; '.join(parts) if run.total else work.nothing}")


def _print_json(works: Sequence[_Work], *, dry_run: bool) -> None:
    print_json(
        {
            "schema": REPORT_SCHEMA,
            "kind": "reissue",
            "dryRun": dry_run,
            "clusters": [work.json() for work in works],
        }
    )
