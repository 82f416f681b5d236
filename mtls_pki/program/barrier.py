"""The one wait of an update: until the Certificates of all clusters are Ready."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
from cryptography import x509
from pulumi import Output

from mtls_pki.backends.backend import Backend
from mtls_pki.clusters.connection import Cluster, ClusterError, cluster_address
from mtls_pki.clusters.readiness import Anchors, Key, Readiness, wait_until_ready
from mtls_pki.clusters.sources.issuers import stack_issuers
from mtls_pki.components.service_certificate import ServiceCertificate
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.program.explanations import not_ready_message
from mtls_pki.program.threads import in_daemon, outstanding
from mtls_pki.settings.model import Settings

# Where lines can be overwritten, each second; where they stay, as in the log of a job, rarely.
_SHOWN_SECONDS, _LOGGED_SECONDS = 1.0, 30.0


@dataclass(frozen=True, kw_only=True)
class DeclaredCertificate:
    """A Certificate that this run declares.

    Attributes:
        key: namespace and name.
        generation: whose issuer it names.
        resource: that declares it.
    """

    key: Key
    generation: str
    resource: ServiceCertificate


def await_certificates(
    settings: Settings,
    declared: Mapping[str, Sequence[DeclaredCertificate]],
    anchors: Mapping[str, TrustAnchor],
    backends: Mapping[str, Backend],
) -> Output[bool]:
    """Let an update end when all are Ready, or fail with what is wrong with the others.

    It asks in every update, also of what did not change. What the engine did not write (it was no
    target, or its own operation failed) is not waited for. A preview never waits.

    Args:
        settings: of the stack.
        declared: by cluster.
        anchors: by generation.
        backends: by name; they know what a message of their authority means.

    Returns:
        Whether it was asked, known when all are Ready: what needs them can wait for it.
    """
    if pulumi.runtime.is_dry_run():
        return Output.from_input(False)

    async def wait() -> bool:
        roots = await _roots(anchors)
        # Of all issuers: a Certificate that is no target still names the one of before.
        signing = {
            (issuer.group, issuer.kind, issuer.name): roots[generation]
            for issuer, generation in stack_issuers(settings).items()
            if generation in roots
        }
        waits = [
            _wait(settings, cluster, of_cluster, signing, backends)
            for cluster, of_cluster in declared.items()
            if of_cluster
        ]
        # Of all clusters, before the run is ended by any of them.
        messages = [message for message in await asyncio.gather(*waits) if message]
        if messages:
            raise pulumi.RunError("\n\n".join(messages))
        return True

    return outstanding(wait())


def end_after(declared: Mapping[str, Sequence[DeclaredCertificate]]) -> None:
    """Let the program end when the engine has taken all Certificates, or has refused to.

    At its end a program looks through everything that is still under way whenever a part of it is
    done, which at a thousand Certificates is half of its processor time (pulumi 3.259.0,
    runtime/stack.py, ``wait_for_rpcs``). What is waited for before is not looked through.
    """

    async def end() -> None:
        registered = (each.resource.urn.future() for found in declared.values() for each in found)
        await asyncio.gather(*registered, return_exceptions=True)

    pulumi.run(end)


async def _wait(
    settings: Settings,
    cluster: str,
    declared: Sequence[DeclaredCertificate],
    signing: Anchors,
    backends: Mapping[str, Backend],
) -> str:
    """Return what is wrong in one cluster, empty where all are Ready."""
    written = await asyncio.gather(
        *(each.resource.id.future() for each in declared), return_exceptions=True
    )
    there = [each for each, found in zip(declared, written, strict=True) if _is_id(found)]
    awaited = [each.key for each in there]
    causes = {
        each.key: backends[settings.backend_of(each.generation).name].explain for each in there
    }
    say = _Progress(cluster, len(awaited), contextvars.copy_context())
    return await in_daemon(
        partial(_wait_in_thread, settings, cluster, awaited, signing, causes, say)
    )


def _wait_in_thread(
    settings: Settings,
    cluster: str,
    awaited: Sequence[Key],
    signing: Anchors,
    causes: Mapping[Key, Callable[[str], str | None]],
    say: _Progress,
) -> str:
    patience = settings.issuing.ready_timeout
    try:
        connection = Cluster(cluster_address(settings, cluster))
        waited = wait_until_ready(connection, awaited, signing, patience=patience, report=say)
        return not_ready_message(connection, waited, len(awaited), patience, causes)
    except ClusterError as error:
        return f"{error}; so it is not known whether the Certificates of {cluster} are Ready"


def _is_id(found: object) -> bool:
    return isinstance(found, str) and bool(found)


async def _roots(anchors: Mapping[str, TrustAnchor]) -> dict[str, x509.Certificate]:
    """Return the root of each generation; there is none where its key was no target, or failed."""
    pems = await asyncio.gather(
        *(anchor.certificate_pem.future() for anchor in anchors.values()), return_exceptions=True
    )
    return {
        generation: parse_certificates(pem, origin=f"anchor {generation}")[0]
        for generation, pem in zip(anchors, pems, strict=True)
        if isinstance(pem, str)
    }


class _Progress:
    """Says how far the wait is, where people look."""

    def __init__(self, cluster: str, total: int, context: contextvars.Context) -> None:
        self._cluster = cluster
        self._total = total
        # The engine's connection is of the program's own thread.
        self._context = context
        self._shown = self._logged = time.monotonic()
        self._said = 0

    def __call__(self, state: Readiness) -> None:
        now = time.monotonic()
        if state.ready == self._said or now - self._shown < _SHOWN_SECONDS:
            return
        self._shown, self._said = now, state.ready
        lasting = now - self._logged >= _LOGGED_SECONDS
        if lasting:
            self._logged = now
        text = f"cluster {self._cluster}: {state.ready} of {self._total} Certificates are Ready"
        self._context.run(partial(pulumi.log.info, text, ephemeral=not lasting))
