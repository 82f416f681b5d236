"""The work of ``access`` for the machines of a stack: issue, renew, list."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mtls_pki.clusters.client_access import MANIFEST, Access, AccessStore
from mtls_pki.clusters.client_requests import APPROVER, ClientRequests, State
from mtls_pki.clusters.connection import ClusterError, cluster_address
from mtls_pki.commands.access_work import signed
from mtls_pki.commands.command import open_stack
from mtls_pki.commands.output import console, print_json
from mtls_pki.commands.stack_file_change import write_change
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say
from mtls_pki.pki.client_request import client_certificate, client_request
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.report import REPORT_SCHEMA
from mtls_pki.rotation.text import instant, printable
from mtls_pki.settings.model import ClientAccessSettings, Settings
from mtls_pki.settings.names import access_user
from mtls_pki.settings.stack_file import edits


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of one machine in one cluster.

    Attributes:
        machine: its name in the stack.
        cluster: where.
        user: of its certificates.
        key: the newest that has a certificate; None where none has.
        newest: the newest key.
        not_after: end of that certificate.
        renew_from: when it is time for the next one.
        authority_not_after: end of the cluster's CA that its kubeconfig carries, the earliest.
        problem: why nothing is known; empty where it is.
    """

    machine: str
    cluster: str
    user: str
    newest: str
    key: str | None = None
    not_after: datetime | None = None
    renew_from: datetime | None = None
    authority_not_after: datetime | None = None
    problem: str = ""

    def state(self, now: datetime) -> str:
        """Return what is to be done, in a few words."""
        if self.problem:
            return f"not read: {self.problem}"
        if self.not_after is None or self.renew_from is None:
            return f"none yet: mtls-pki access issue {self.machine}"
        if self.not_after <= now:
            return f"ended: mtls-pki access renew {self.machine}"
        if self.key != self.newest:
            return f"works; {self.newest} waits: mtls-pki access issue {self.machine}"
        if self.renew_from <= now:
            return f"renew now: mtls-pki access renew {self.machine}"
        return "works"

    def to_json(self, now: datetime) -> dict[str, Any]:
        """Return it for a JSON document."""
        times = (self.not_after, self.renew_from, self.authority_not_after)
        return {
            "machine": self.machine,
            "cluster": self.cluster,
            "user": self.user,
            "key": self.key,
            **{
                name: instant(at) if at else None
                for name, at in zip(("notAfter", "renewFrom", "caNotAfter"), times, strict=True)
            },
            "state": self.state(now),
        }


def rows(settings: Settings) -> Iterator[Row]:
    """Yield what the clusters hold of every machine; what cannot be read says why."""
    for name, access in settings.client_access.items():
        for cluster in settings.clusters_of_access(access):
            row = Row(
                machine=name,
                cluster=cluster,
                user=access_user(name, access),
                newest=access.keys[-1],
            )
            try:
                store = AccessStore(cluster_address(settings, cluster), settings)
                held = store.read(name)
                authority = store.cluster.server_ca_pem
            except ClusterError as error:
                yield replace(row, problem=error.reason)
                continue
            yield _filled(row, access, held, authority)


def _filled(row: Row, access: ClientAccessSettings, held: Access, authority: str | None) -> Row:
    found = {key: held.certificate(key) for key in access.keys}
    key = next((each for each in reversed(access.keys) if found[each] is not None), None)
    certificate = found[key] if key else None
    end = certificate.not_valid_after_utc if certificate else None
    cas = _certificates(authority)
    return replace(
        row,
        key=key,
        not_after=end,
        renew_from=end - access.renew_before if end else None,
        authority_not_after=min((each.not_valid_after_utc for each in cas), default=None),
    )


def _certificates(pem: str | None) -> tuple[x509.Certificate, ...]:
    try:
        return parse_certificates(pem, origin="the cluster's CA") if pem else ()
    except PkiError:
        return ()


def access_view(found: list[Row]) -> RenderableType:
    """Return them as a table for a terminal."""
    now = datetime.now(UTC)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in ("machine", "cluster", "user", "key", "ends", "cluster CA ends", ""):
        table.add_column(column, overflow="fold")
    for row in found:
        state = row.state(now)
        ends = (row.not_after, row.authority_not_after)
        table.add_row(
            *map(Text, (row.machine, row.cluster, printable(row.user), row.key or "-")),
            *(Text(instant(each) if each else "-") for each in ends),
            Text(printable(state), style="" if state == "works" else "yellow"),
        )
    return table


def list_access(options: argparse.Namespace) -> ExitStatus:
    """Print what the clusters hold of every machine."""
    settings = open_stack(options).settings()
    found = list(rows(settings))
    if options.json:
        now = datetime.now(UTC)
        machines = [row.to_json(now) for row in found]
        print_json({"schema": REPORT_SCHEMA, "kind": "access", "machines": machines})
    elif found:
        console().print(access_view(found))
    else:
        say("clientAccess names no machine")
    unread = any(row.problem for row in found)
    return ExitStatus.EVIDENCE_MISSING if unread else ExitStatus.DONE


def issue(options: argparse.Namespace) -> ExitStatus:
    """Have the newest key of each machine certified; what is done already stays as it is.

    Returns:
        ERROR where something waits for somebody else.

    Raises:
        CommandError: there is no such machine or cluster.
    """
    settings = open_stack(options).settings()
    waiting = False
    for name in _machines(settings, options.machine):
        access = settings.client_access[name]
        for cluster in settings.clusters_of_access(access):
            if options.cluster not in (None, cluster):
                continue
            try:
                _issue(settings, name, cluster, approve=options.approve, wait=options.wait)
            except CommandError as error:
                complain(f"{name} in cluster {cluster}: {error}")
                waiting = True
    return ExitStatus.ERROR if waiting else ExitStatus.DONE


def _issue(settings: Settings, name: str, cluster: str, *, approve: bool, wait: timedelta) -> None:
    access, address = settings.client_access[name], cluster_address(settings, cluster)
    store = AccessStore(address, settings)
    held, key = store.read(name), access.keys[-1]
    if held.requests is None or key not in held.requests:
        raise CommandError(f"the stack has not written the request of {key} yet: `pulumi up`")
    request, now = client_request(held.requests[key], origin=f"{name}, {key}"), datetime.now(UTC)
    certificate = held.certificate(key)
    if certificate is not None:
        end = certificate.not_valid_after_utc
        if end - access.renew_before <= now:
            verb = "ends" if now < end else "ended"
            raise CommandError(
                f"the certificate of {key} {verb} at {instant(end)}; the next one has a new key: "
                f"`mtls-pki access renew {name}`"
            )
        say(f"{name} in cluster {cluster}: {key} is certified until {instant(end)}")
        return
    requests = ClientRequests(address, manifest=MANIFEST)
    found = requests.submit(request, access.valid_for)
    if found.state is State.PENDING and approve:
        ClientRequests(address, manifest=APPROVER).decide(
            found, approve=True, why=f"clientAccess.{name} of {settings.owner}"
        )
    found = signed(requests, request.name, address, wait)
    pem = found.certificate or ""
    issued = client_certificate(pem, key=request.key, origin=request.name)
    store.keep(name, key, pem)
    say(
        f"{name} in cluster {cluster}: {key} is certified until "
        f"{instant(issued.not_valid_after_utc)}; `pulumi up` puts it into the output kubeconfigs"
    )


def renew(options: argparse.Namespace) -> ExitStatus:
    """Write a new key into the stack file; the newest that is there stays beside it.

    Raises:
        CommandError: there is no such machine, or the file cannot be edited.
    """
    stack = open_stack(options)
    (name,) = _machines(stack.settings(), options.machine)
    return write_change(stack, edits.renew_access(stack, name), options)


def _machines(settings: Settings, name: str | None) -> list[str]:
    if name is None:
        return [*settings.client_access]
    if name not in settings.client_access:
        there = ", ".join(settings.client_access) or "none"
        raise CommandError(f"{name}: clientAccess has no such machine; there are: {there}")
    return [name]
