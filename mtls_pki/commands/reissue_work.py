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
from mtls_pki.clusters.sources.issuers import IssuerReference
from mtls_pki.commands.output import console, print_json
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say
from mtls_pki.registry import backends_of
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
        issuer: that all of them name, where they are told apart by it; empty where not.
        explain: returns what a message of the authority means, if that is known.
    """

    client: CertificateClient
    generation: str | None
    stale: Sequence[Stale]
    still_stale: Callable[[], Iterable[Stale]]
    nothing: str
    run: Run
    issuer: str = ""
    explain: Callable[[str], str | None] = lambda _: None

    @property
    def source(self) -> str:
        """What they are issued from, for a sentence; empty where each keeps its own issuer."""
        return f" from {self.generation}" if self.generation else ""

    @property
    def cluster(self) -> str:
        """The cluster's name in the stack."""
        return self.client.cluster.name

    @property
    def name(self) -> str:
        """What it is called in a line of its own."""
        return f"{self.cluster}, {self.issuer}" if self.issuer else self.cluster

    @property
    def meaning(self) -> str:
        """What the failures mean, for the end of a sentence; empty where nothing is known."""
        found = dict.fromkeys(filter(None, map(self.explain, self.run.failed.values())))
        return "".join(f"; it means: {each}" for each in found)

    def json(self) -> dict[str, Any]:
        done = {certificate.uid for certificate in self.run.done}
        return {
            "cluster": self.cluster,
            "issuer": self.issuer or None,
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
    works = [
        work for name in settings.clusters for work in read(settings, name, options.namespaces)
    ]
    require_recorded((work.client.cluster for work in works), settings)
    if options.dry_run:
        _list(works, options)
        return ExitStatus.DONE
    problems: list[str] = []
    try:
        for work in works:
            try:
                _do(settings, work, options)
            except CommandError as error:
                if not options.failed:
                    raise
                # Another issuer may have another authority.
                problems.append(f"{work.name}: {error}{work.meaning}")
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
    if problems:
        raise CommandError("; ".join(problems))
    return ExitStatus.ERROR if any(work.run.failed for work in works) else ExitStatus.DONE


def _read_stale(settings: Settings, name: str, namespaces: tuple[str, ...]) -> tuple[_Work, ...]:
    client = CertificateClient(cluster_address(settings, name))
    target = read_target(client.cluster, settings)

    def read() -> tuple[Stale, ...]:
        return read_stale(client.cluster, settings, target, namespaces)

    # What failed before comes last, so that it cannot keep the others waiting.
    stale = sorted(read(), key=lambda one: one.certificate.failure is not None)
    work = _Work(
        client=client,
        generation=target.generation,
        stale=stale,
        still_stale=read,
        nothing=f"nothing hangs on a CA older than that of {target.generation}",
        run=Run(total=len(stale)),
    )
    return (work,)


def _read_failed(settings: Settings, name: str, namespaces: tuple[str, ...]) -> tuple[_Work, ...]:
    """Read one piece of work for each issuer; one without any where nothing failed."""
    client = CertificateClient(cluster_address(settings, name))
    failed: dict[IssuerReference | None, list[Stale]] = {}
    for each in read_failed(client.cluster, settings, namespaces):
        failed.setdefault(each.issuer, []).append(each)
    backends = {backend.settings.issuer_api.group: backend for backend in backends_of(settings)}
    return tuple(
        _Work(
            client=client,
            generation=None,
            stale=stale,
            still_stale=tuple,
            nothing="no Certificate's last issuance failed",
            run=Run(total=len(stale)),
            issuer=str(issuer) if issuer is not None else "",
            explain=backends[issuer.group].explain
            if issuer is not None and issuer.group in backends
            else lambda _: None,
        )
        for issuer, stale in (failed or {None: []}).items()
    )


def _do(settings: Settings, work: _Work, options: ReissueOptions) -> None:
    if not work.stale:
        return
    with _progress(work, quiet=options.as_json) as tell:
        Reissue(
            certificates=work.client,
            pace=Pace(rate=options.rate),
            batch=options.batch,
            probe=options.failed,
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
            parts[-1] += printable(work.meaning)
        print(f"{work.name}: {'; '.join(parts) if run.total else work.nothing}")


def _print_json(works: Sequence[_Work], *, dry_run: bool) -> None:
    print_json(
        {
            "schema": REPORT_SCHEMA,
            "kind": "reissue",
            "dryRun": dry_run,
            "clusters": [work.json() for work in works],
        }
    )
