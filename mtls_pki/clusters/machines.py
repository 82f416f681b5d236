"""Until when the machines of a stack have access to its clusters, and what is due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from mtls_pki.clusters.client_access import Access, AccessStore
from mtls_pki.clusters.connection import ClusterError, cluster_address
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.text import instant
from mtls_pki.settings.model import ClientAccessSettings, Settings
from mtls_pki.settings.names import access_user


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

    def due(self, now: datetime) -> str:
        """Return what is to be done, in a few words; empty where nothing is."""
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
        if self.authority_not_after is not None and self.authority_not_after < self.not_after:
            return "the cluster's CA in its kubeconfig ends first: `pulumi up` takes the next one"
        return ""

    def state(self, now: datetime) -> str:
        """Return what is to be done, or that it works."""
        return self.due(now) or "works"

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
