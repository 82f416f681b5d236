"""What an error in one cluster means, in the words of whoever works there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

import pulumi

from mtls_pki.backends.backend import Backend
from mtls_pki.backends.table import BACKENDS
from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError
from mtls_pki.clusters.diagnosis import Diagnosis, diagnose, explain_not_ready, object_path
from mtls_pki.clusters.readiness import Key, Waited
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.extensions import CERT_MANAGER

# A webhook that has just started answers within seconds; one that is away does not.
_WEBHOOK_TRIES = 10
_WEBHOOK_PAUSE_SECONDS = 3.0
# Each costs some requests, and one reason mostly stands behind all.
_EXPLAINED = 10
_APIS = tuple(each.settings.issuer_api for each in BACKENDS.values())
_ISSUERS = {each.issuer_spec: each.issuer_remedy for each in BACKENDS.values()}


class FailureHooks:
    """The hooks of one cluster that say why an operation failed.

    Attributes:
        plain: for what no authority signs.
    """

    def __init__(self, address: ClusterAddress, backends: Mapping[str, Backend]) -> None:
        """Make the hooks for ``backends``, which are those that the stack uses."""
        self.plain = _failure_hook(address, None)
        self._of = {
            name: _failure_hook(address, backend)
            for name, backend in backends.items()
            if backend.signer
        }

    def of(self, backend: str) -> pulumi.ErrorHook:
        """Return the hook for what a backend signs."""
        return self._of.get(backend, self.plain)


def _failure_hook(address: ClusterAddress, backend: Backend | None) -> pulumi.ErrorHook:
    """Return the hook that says why an operation failed.

    It repeats an operation that came before cert-manager's webhook was up, and otherwise adds what
    the object's own controller says to the engine's time-out, and what the authority means by it.
    """

    def on_error(args: pulumi.ErrorHookArgs) -> bool:
        newest = args.errors[0] if args.errors else ""
        if "failed calling webhook" in newest and len(args.errors) < _WEBHOOK_TRIES:
            time.sleep(_WEBHOOK_PAUSE_SECONDS)
            return True
        inputs = args.new_inputs or args.old_inputs or {}
        message = _explain(address, inputs)
        if message is not None:
            cause = backend.explain(message) if backend is not None else None
            pulumi.log.error(message if cause is None else f"{message}. It means: {cause}")
        return False

    # No cluster's name has a slash.
    prefix = f"{backend.signer}/" if backend is not None else ""
    return pulumi.ErrorHook(f"explain-{prefix}{address.name}", on_error)


def _explain(address: ClusterAddress, inputs: Any) -> str | None:
    metadata = inputs.get("metadata", {})
    try:
        return explain_not_ready(
            Cluster(address),
            api_version=inputs["apiVersion"],
            kind=inputs["kind"],
            namespace=metadata.get("namespace"),
            name=metadata["name"],
            apis=_APIS,
            issuers=_ISSUERS,
        )
    except ClusterError as error:
        return str(error)


def not_ready_message(
    cluster: Cluster,
    waited: Waited,
    total: int,
    patience: timedelta,
    causes: Mapping[Key, Callable[[str], str | None]],
) -> str:
    """Return one message about all Certificates of a cluster that are not Ready, empty for none.

    It names every one of them, and says of the first ten why.

    Args:
        cluster: where they are.
        waited: what came of waiting for them.
        total: for how many.
        patience: for how long nothing became Ready.
        causes: of each, what a message of its authority means.
    """
    if not waited.missing:
        return ""
    few = len(waited.missing)
    head = (
        f"cluster {cluster.name}: {few} of {total} Certificates {'is' if few == 1 else 'are'} not "
        f"Ready, and none became so for {format_duration(patience)} (issuing.readyTimeout)"
    )
    if waited.error is not None:
        return f"{head}. {waited.error.reason}\nRemaining: {_names(waited.missing)}"
    lines, remedies = [], dict[str, None]()
    for key, reason in islice(waited.missing.items(), _EXPLAINED):
        found = _diagnosis(cluster, key, reason)
        cause = causes[key](found.said)
        said = found.said if cause is None else f"{found.said}. It means: {cause}"
        lines.append(f"  Certificate {'/'.join(key)}: {said}")
        remedies[found.remedy] = None
    if few > _EXPLAINED:
        others = _names(islice(waited.missing, _EXPLAINED, None))
        lines.append(f"  and {few - _EXPLAINED} more: {others}")
    return "\n".join((f"{head}:", *lines, *(f"What to do: {each}" for each in remedies)))


def _diagnosis(cluster: Cluster, key: Key, reason: str) -> Diagnosis:
    try:
        live = cluster.get(object_path(CERT_MANAGER.api_version, "Certificate", *key) or "")
        if live is None:
            return _GONE
        found = diagnose(cluster, "Certificate", live, issuers=_ISSUERS, apis=_APIS)
    except ClusterError as error:
        return Diagnosis(said=error.reason, remedy=_AGAIN)
    if found is not None:
        return found
    if reason:
        return Diagnosis(said=reason, remedy=_REISSUE)
    return Diagnosis(said="it became Ready just now", remedy=_AGAIN)


_AGAIN = "run `pulumi up` again"
_REISSUE = "see who changed that issuer, and have its leaves issued again (`mtls-pki reissue`)"
_GONE = Diagnosis(
    said="it was applied, and the API server does not have it any more",
    remedy="see who deletes it, and run `pulumi up --refresh`",
)


def _names(keys: Iterable[Key]) -> str:
    return ", ".join(f"{namespace}/{name}" for namespace, name in keys)
