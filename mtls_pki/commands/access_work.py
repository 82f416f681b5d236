"""The work of ``access``: what is submitted, decided, written and looked at."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from cryptography import x509

from mtls_pki.clusters import client_kubeconfig
from mtls_pki.clusters.client_requests import (
    APPROVER,
    BACKDATED,
    REQUESTER,
    SHORTEST,
    SIGNER,
    ClientRequests,
    State,
    Submitted,
)
from mtls_pki.clusters.connection import ClusterAddress, cluster_address
from mtls_pki.commands.command import open_stack
from mtls_pki.commands.output import ask
from mtls_pki.errors import CommandError, UsageError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.files import write_new
from mtls_pki.messages import say, warn
from mtls_pki.pki.client_request import (
    ClientRequest,
    client_certificate,
    client_request,
    key_identity,
)
from mtls_pki.pki.errors import PkiError
from mtls_pki.rotation.durations import format_duration, humanise_duration
from mtls_pki.rotation.text import instant, printable

_POLL_SECONDS = 0.5
# What an object of Kubernetes may be called (RFC 1123, as the API server checks it).
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
# What is left of a lifetime when it is time for the next one; as cert-manager renews by default.
_SOON = 1 / 3


def request(options: argparse.Namespace) -> ExitStatus:
    """Submit a request and say who can approve it.

    Raises:
        CommandError: it is not accepted, here or by the cluster.
    """
    lifetime: timedelta = options.valid_for
    if lifetime < SHORTEST:
        raise CommandError(
            f"--valid-for {format_duration(lifetime)}: Kubernetes issues nothing below "
            f"{format_duration(SHORTEST)}; ask for more"
        )
    asked = _read_request(options.file)
    address = _address(options)
    found = ClientRequests(address, manifest=REQUESTER).submit(asked, lifetime)
    print(_described(found))
    if found.lifetime is not None and found.lifetime != lifetime:
        warn(
            f"it was submitted before, for {format_duration(found.lifetime)}; that stays, and "
            "another lifetime needs another key"
        )
    _say_what_is_next(found, address, options.file)
    return ExitStatus.DONE


def decide(options: argparse.Namespace, *, approve: bool) -> ExitStatus:
    """Show a request, ask, and approve or deny it.

    Raises:
        CommandError: there is none, it was decided on already, or the cluster refuses.
        UsageError: nobody can be asked, and ``--yes`` was not given.
    """
    address = _address(options)
    requests = ClientRequests(address, manifest=APPROVER)
    found = _existing(requests, _name_of(options.request))
    print(_described(found))
    name = found.request.name
    if found.signer != SIGNER:
        raise CommandError(f"{name} is for the signer {found.signer}, which is not decided on here")
    if found.state is not State.PENDING:
        wanted = (State.APPROVED, State.ISSUED) if approve else (State.DENIED,)
        if found.state in wanted:
            say(f"{name} is {found.state} already")
            return ExitStatus.DONE
        raise CommandError(
            f"{name} is {found.state} already ({printable(found.said)}), which cannot be taken back"
            "; a new key gets a new request"
        )
    verb = "approve" if approve else "deny"
    if not options.yes and not ask(f"{verb} it?"):
        say("nothing was done")
        return ExitStatus.DONE
    requests.decide(found, approve=approve, why=options.reason or "by mtls-pki access")
    say(f"{name}: {'approved' if approve else 'denied'}")
    return ExitStatus.DONE


def kubeconfig(options: argparse.Namespace) -> ExitStatus:
    """Write the kubeconfig of a request that was signed.

    Raises:
        CommandError: it is not signed, or the key is another one, or the file is there.
    """
    if options.output.exists():
        raise CommandError(f"{options.output} is there already; name a new file")
    key = _read(options.key)
    try:
        identity = key_identity(key, origin=str(options.key))
    except PkiError as error:
        raise CommandError(str(error)) from None
    address = _address(options)
    requests = ClientRequests(address, manifest=REQUESTER)
    found = signed(requests, _name_of(options.request), address, options.wait)
    pem = found.certificate or ""
    try:
        certificate = client_certificate(pem, key=identity, origin=found.request.name)
    except PkiError as error:
        raise CommandError(str(error)) from None
    text = client_kubeconfig.render(
        cluster=address.name,
        server=requests.cluster.server,
        authority_pem=requests.cluster.server_ca_pem,
        user=found.request.user,
        certificate=pem,
        key=key,
    )
    try:
        write_new(options.output, text)
    except FileExistsError:
        raise CommandError(f"{options.output} is there already; name a new file") from None
    except OSError as error:
        raise CommandError(f"{options.output} cannot be written ({error.strerror})") from None
    say(
        f"wrote {options.output} (0600) for {found.request.user}; it works until "
        f"{instant(certificate.not_valid_after_utc)}: kubectl --kubeconfig {options.output} auth "
        "whoami"
    )
    return ExitStatus.DONE


def check(options: argparse.Namespace) -> ExitStatus:
    """Tell until when a kubeconfig works; ERROR where it does not (any more).

    Raises:
        CommandError: it cannot be read, or its API server cannot be reached.
    """
    held = client_kubeconfig.read(options.file)
    now = datetime.now(UTC)
    works = True
    if held.user is None:
        warn(f"{options.file} has no client certificate")
    for what, certificate in (
        *([("certificate", held.user)] if held.user else []),
        *(("cluster CA", each) for each in held.authorities),
    ):
        works &= _tell_end(what, certificate, now)
    if why := client_kubeconfig.served_otherwise(held):
        works = False
        warn(
            f"the certificate of {held.server} is not of the CA in {options.file} ({why}): the "
            "cluster has another CA now; take certificate-authority-data from a kubeconfig that "
            "works, or from the cluster's administrator"
        )
    return ExitStatus.DONE if works else ExitStatus.ERROR


def _tell_end(what: str, certificate: x509.Certificate, now: datetime) -> bool:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    name = printable(certificate.subject.rfc4514_string())
    if end <= now:
        warn(f"{what} {name} ended at {instant(end)}; ask for a new one")
        return False
    print(f"{what} {name}: until {instant(end)}, {humanise_duration(end - now)} from now")
    if end - now < (end - begin) * _SOON:
        warn(f"{what} {name} ends soon; get the next one now, this one works until then")
    return True


def signed(
    requests: ClientRequests, name: str, address: ClusterAddress, wait: timedelta
) -> Submitted:
    """Return a request when it is signed, after a while if need be.

    Args:
        requests: of the cluster.
        name: of the request.
        address: of the cluster, for messages.
        wait: how long an approved one may take.

    Raises:
        CommandError: it is not approved, was denied, was refused by the signer, is gone, or takes
            longer.
    """
    end = time.monotonic() + wait.total_seconds()
    while True:
        found = _existing(requests, name)
        if found.state is State.ISSUED:
            return found
        if found.state is State.DENIED:
            raise CommandError(
                f"{name} was denied ({printable(found.said)}), which cannot be taken back; ask "
                "again with a new key"
            )
        if found.state is State.FAILED:
            raise CommandError(
                f"{name} was approved, but the signer refuses it ({printable(found.said)}); "
                "correct what it says and ask again with a new key"
            )
        if found.state is State.PENDING:
            raise CommandError(
                f"{name} waits for approval: {_approval(name, address)}, or `mtls-pki access "
                f"approve {name} --cluster {address.name}`"
            )
        if time.monotonic() > end:
            raise CommandError(
                f"{name} is approved and not signed after {format_duration(wait)}: see "
                "whether kube-controller-manager runs with its csrsigning controller and a "
                "signing key (--cluster-signing-cert-file)"
            )
        time.sleep(_POLL_SECONDS)


def _say_what_is_next(found: Submitted, address: ClusterAddress, file: Path) -> None:
    name = found.request.name
    if found.state in (State.DENIED, State.FAILED):
        raise CommandError(
            f"{name} is {found.state} ({printable(found.said)}), which cannot be taken back; ask "
            "again with a new key"
        )
    if found.state is State.PENDING:
        say(
            f"to be approved by somebody who may: {_approval(name, address)}\n"
            f"  or: mtls-pki access approve {name} --cluster {address.name}"
        )
    say(f"then: mtls-pki access kubeconfig {file} --cluster {address.name} --key KEY --output FILE")


def _approval(name: str, address: ClusterAddress) -> str:
    context = f" --context {address.context}" if address.context else ""
    return f"`kubectl certificate approve {name}{context}`"


def _described(found: Submitted) -> str:
    asked = found.request
    lines = [
        f"request   {asked.name}: {found.state}",
        f"user      {printable(asked.user)}",
        f"groups    {', '.join(map(printable, asked.groups)) or 'none'}",
        f"key       sha256:{asked.key}",
    ]
    if found.lifetime is not None:
        begin = found.made_at or datetime.now(UTC)
        end = begin + found.lifetime - BACKDATED
        lines.append(f"until     about {instant(end)}, if it is signed now")
    if found.said:
        lines.append(f"said      {printable(found.said)}")
    return "\n".join(lines)


def _existing(requests: ClientRequests, named: str) -> Submitted:
    try:
        found = requests.get(named)
    except PkiError as error:
        raise CommandError(str(error)) from None
    if found is None:
        _refuse_gone(named, requests)
    return found


def _name_of(named: str) -> str:
    """Return the name of a request that is named, or whose file is."""
    path = Path(named)
    if path.is_file():
        return _read_request(path).name
    if not _NAME.fullmatch(named):
        raise CommandError(f"{named} is neither a file nor the name of a request")
    return named


def _refuse_gone(name: str, requests: ClientRequests) -> NoReturn:
    raise CommandError(
        f"cluster {requests.cluster.name} has no request {name}: it was never submitted, or the "
        "cluster has removed it (signed, denied and failed ones after one to two hours, others "
        "after a day); submit it again with `mtls-pki access request`"
    )


def _read_request(path: Path) -> ClientRequest:
    try:
        return client_request(_read(path), origin=str(path))
    except PkiError as error:
        raise CommandError(str(error)) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no PEM text"
        raise CommandError(f"{path} cannot be read ({said})") from None


def _address(options: argparse.Namespace) -> ClusterAddress:
    settings = open_stack(options).settings()
    names = list(settings.clusters)
    name = options.cluster
    if name is None:
        if len(names) != 1:
            raise UsageError(f"name one of the clusters with --cluster: {', '.join(names)}")
        name = names[0]
    if name not in names:
        raise CommandError(f"--cluster {name}: no such cluster; there are: {', '.join(names)}")
    return cluster_address(settings, name)
