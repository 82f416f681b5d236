"""What a source of evidence is.

Evidence is read in two rounds, because a chain can be judged only when all anchors are known: first
what is trusted, in every cluster, then what was issued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster, ForbiddenError
from mtls_pki.rotation.evidence import (
    BundleObservation,
    GateObservation,
    IssuerObservation,
    IssuerUse,
    LeafObservation,
    SessionObservation,
    Untraceable,
)
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """What one source shows of what is trusted in one cluster.

    Attributes:
        bundles: what verifiers hold.
        anchors: certificates that may be anchors.
        owned: existing objects that the stack would write, whose they may be.
    """

    bundles: tuple[BundleObservation, ...] = ()
    anchors: tuple[x509.Certificate, ...] = ()
    owned: tuple[OwnedObject, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Issued:
    """What one source shows of what was issued in one cluster, or outside of all.

    Attributes:
        leaves: what it shows.
        issuers: who issues.
        untraceable: which leaves it does not show, and why.
        uses: which Certificates name issuers of the stack.
        owned: as in ``Trusted``.
        sessions: connections that are open.
        remarks: what a person must know, although no rule judges it; whole sentences without a
            full stop.
    """

    leaves: tuple[LeafObservation, ...] = ()
    issuers: tuple[IssuerObservation, ...] = ()
    untraceable: tuple[Untraceable, ...] = ()
    uses: tuple[IssuerUse, ...] = ()
    owned: tuple[OwnedObject, ...] = ()
    sessions: tuple[SessionObservation, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KnownTrust:
    """What the first round found, by which the second judges.

    Attributes:
        anchors: every certificate that may be an anchor, of all clusters and the stack file.
        at: the time of the API servers; what ended before is left out.
        gates: the records of all clusters that have one.
    """

    anchors: tuple[x509.Certificate, ...]
    at: datetime
    gates: tuple[GateObservation, ...] = ()

    @property
    def issued(self) -> frozenset[str]:
        """Fingerprints of the anchors that may have issued, as the records say."""
        found = {
            each for gate in self.gates if gate.domain is not None for each in gate.domain.issued
        }
        stages = [gate.stage for gate in self.gates if gate.stage is not None]
        return frozenset(found) | {
            anchor.fingerprint
            for stage in stages
            for generation, anchor in stage.anchors.items()
            if anchor.fingerprint is not None
            and (anchor.role is not Role.INCOMING or generation in stage.issuing_generations)
        }

    def of_others(self, present: LeafObservation, **told: Any) -> Iterator[LeafObservation]:
        """Yield what stands for leaves of other anchors than that of ``present``, one for each.

        Nobody lists such leaves, so nothing shows whose they are: any anchor may be meant that
        issued before.

        Args:
            present: what is issued there now.
            told: in what they differ from it, besides their signer and their dates.
        """
        for fingerprint in sorted(self.issued - present.signers):
            yield LeafObservation(
                cluster=present.cluster,
                namespace=present.namespace,
                declared=False,
                signers=frozenset({fingerprint}),
                not_before=None,
                predecessor=frozenset(),
                unlisted=True,
                **told,
            )


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a source reads outside of the stack's clusters.

    Attributes:
        place: used like a cluster's name in the evidence; no cluster has such a name.
        read: judges what was asked, once the anchors are known.
        unread: what could not be asked, and why; empty where all was.
    """

    place: str
    read: Callable[[KnownTrust], Issued] = field(repr=False)
    unread: str = ""


@contextmanager
def rights_of(cluster: Cluster, manifest: str) -> Iterator[None]:
    """Name the manifest with the rights of a source of its own, where one of them is missing.

    Raises:
        ForbiddenError: what is read inside is forbidden.
    """
    try:
        yield
    except ForbiddenError as error:
        reason, _, _ = error.reason.partition("; grant")
        raise ForbiddenError(cluster.name, f"{reason}; grant what {manifest} grants") from None


class Source:
    """One source of evidence; it overrides the rounds in which it has something to read.

    Whatever it cannot read it raises as ``ClusterError``: not seen is not absent.
    """

    def trusted(
        self, cluster: Cluster, settings: Settings, gate: GateObservation | None
    ) -> Trusted:
        """Read what is trusted in one cluster, of which ``gate`` is the record.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        del cluster, settings, gate
        return Trusted()

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        """Read what was issued in one cluster.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        del cluster, settings, trust
        return Issued()

    def outside(self, settings: Settings) -> Outside | None:
        """Ask servers outside of the clusters; None if there is nothing to ask."""
        del settings
        return None
