"""The work of ``access`` for the machines of a stack: issue, renew, list."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mtls_pki.clusters.client_access import MANIFEST, AccessStore
from mtls_pki.clusters.client_requests import APPROVER, ClientRequests, State
from mtls_pki.clusters.connection import cluster_address
from mtls_pki.clusters.machines import Row, rows
from mtls_pki.commands.access_work import signed
from mtls_pki.commands.command import open_stack
from mtls_pki.commands.output import console, print_json
from mtls_pki.commands.stack_file_change import write_change
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain, say
from mtls_pki.pki.client_request import client_certificate, client_request
from mtls_pki.rotation.report import REPORT_SCHEMA
from mtls_pki.rotation.text import instant, printable
from mtls_pki.settings.model import Settings
from mtls_pki.settings.stack_file import edits


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
