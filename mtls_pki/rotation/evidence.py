"""What was read from the clusters, as judged facts.

All times are aware UTC. Nothing here reads a cluster; ``clusters`` does, and ``observation`` judges
what it read.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.leaf_facts import LeafFacts
from mtls_pki.rotation.domain import Domain, RecordedDomain, merged
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.rotation.stage import TrustStage


@dataclass(frozen=True, kw_only=True)
class BundlePlace:
    """Where one copy of the trust bundle must be: key ``key`` of object ``name``.

    The places of a domain come from the configuration, not from the clusters, so that a bundle
    that is missing is noticed.
    """

    cluster: str
    namespace: str
    name: str
    key: str
    kind: str = "ConfigMap"


class BundleProblem(enum.StrEnum):
    """Why the members of a bundle could not be read."""

    MISSING = "is missing"
    EMPTY = "is empty"
    UNPARSABLE = "cannot be parsed"
    UNREAD = "was started before its roots changed"


@dataclass(frozen=True, kw_only=True)
class BundleMember:
    """One certificate of a live bundle.

    ``self_signed`` is False for an intermediate or a cross-signed certificate: it may share an
    anchor's key, but a verifier that needs a root does not accept it as one. ``facts`` are what a
    verifier judges; None where only the key is known.
    """

    fingerprint: str
    subject: str
    not_after: datetime
    self_signed: bool
    facts: CaFacts | None = None


@dataclass(frozen=True, kw_only=True)
class BundleObservation:
    """One trust bundle as it is.

    ``changed_at`` is when the API server recorded its last change (managedFields), None when it
    recorded none. ``problem`` says why it has no members, None when it has; ``detail`` explains.
    ``hint`` says what to do where it lags, for a bundle that the stack does not write itself.
    """

    place: BundlePlace
    members: tuple[BundleMember, ...]
    changed_at: datetime | None
    problem: BundleProblem | None = None
    detail: str = ""
    hint: str = ""

    @property
    def anchors(self) -> frozenset[str]:
        """Fingerprints of the roots in it, expired or not."""
        return frozenset(m.fingerprint for m in self.members if m.self_signed)

    def holds(self, fingerprint: str | None, now: datetime) -> bool:
        """Whether the bundle has a root of the anchor's key whose dates are valid now."""
        return any(
            m.self_signed and m.fingerprint == fingerprint and now < m.not_after
            for m in self.members
        )


@dataclass(frozen=True, kw_only=True)
class LeafObservation:
    """One leaf of the trust domain, whoever declared it.

    Attributes:
        kind: ``Certificate``, ``CertificateRequest``, ``CertificateSigningRequest``, ``Secret``
            (one that cert-manager wrote and no Certificate keeps now) or ``endpoint`` (the chain
            that was served).
        declared: this stack declares it.
        signers: fingerprints of all anchors that its presented chain leads to; more than one
            for cross-signed CAs. Empty with ``problem`` None: it chains to no known anchor, so no
            verifier of this domain trusts it and no change can break it.
        problem: why the signer is not known; such a leaf counts as a laggard (fail closed).
        unlike: how it differs from what was asked for, where its signer decides by rules of its own
            (a Vault); for people only, no rule judges it.
        facts: what a verifier judges of it and its chain; None where that could not be read.
        issuer: text of the issuer reference, ``ClusterIssuer/mtls-ca-g1``, or the issuer's name.
        not_before: start of validity, None when it could not be read.
        not_after: end of validity, None when it could not be read.
        issued_at: when the server recorded that it was put in place; with None, ``not_before``
            counts.
        issuing_ca_not_after: end of the issuing CA that signed it (the latest of its certificates),
            None when the anchor itself signed it.
        authority: it is a CA itself, whose own leaves nothing here shows.
        revision: which issuance for its Certificate it is, from 1; None where there is none.
        predecessor: signers of the leaf that it took the place of, as ``signers``; empty where
            there was none, or none of this domain; None where nothing shows it.
        unlisted: it stands for leaves that nobody lists, so nothing shows that they were made anew:
            its end alone clears them.
        issuer_since: since when its Certificate's issuer is what it is: the reference to it, and
            the issuer object. None where the server recorded no time.
    """

    cluster: str
    namespace: str
    name: str
    kind: str
    declared: bool
    signers: frozenset[str]
    issuer: str
    not_before: datetime | None
    not_after: datetime | None
    issued_at: datetime | None = None
    issuing_ca_not_after: datetime | None = None
    problem: str | None = None
    unlike: tuple[str, ...] = ()
    facts: LeafFacts | None = None
    authority: bool = False
    revision: int | None = None
    predecessor: frozenset[str] | None = None
    issuer_since: datetime | None = None
    unlisted: bool = False

    def live(self, now: datetime) -> bool:
        """Whether a verifier may accept it now. A leaf whose end is unknown counts as live."""
        if self.not_after is not None and self.not_after <= now:
            return False
        return self.issuing_ca_not_after is None or now < self.issuing_ca_not_after

    @property
    def in_place_since(self) -> datetime | None:
        """When it was put in place, if that is known."""
        return self.issued_at or self.not_before


@dataclass(frozen=True, kw_only=True)
class IssuerObservation:
    """An issuer object's readiness. ``generation`` is the anchor generation that it issues from,
    None for one that this stack does not declare; ``namespace`` is None for a ClusterIssuer.
    ``changed_at`` is when the server recorded the last change of its ``spec``, None when it
    recorded none.
    """

    cluster: str
    namespace: str | None
    name: str
    kind: str
    ready: bool
    reason: str
    message: str
    generation: str | None
    changed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerUse:
    """A Certificate names an issuer of the stack, whether it was issued yet or not.

    ``issuer`` is ``Kind/name``; ``declared``: this stack declares the Certificate. ``failure`` is
    why its last issuance failed, None if it did not; ``again_at`` when cert-manager itself tries
    again, None where that is not known; ``renewal_at`` when it renews it, None where it never does.
    """

    cluster: str
    namespace: str
    name: str
    issuer: str
    declared: bool
    failure: str | None = None
    again_at: datetime | None = None
    renewal_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class GateObservation:
    """What a cluster's gate object records.

    Attributes:
        cluster: where it is.
        stage: None with a ``problem`` when the record cannot be read.
        changed_at: when the API server recorded its last change, which is when the stage was last
            applied there, or what the domain depends on changed.
        problem: what is wrong with it.
        domain: what the trust domain consisted of; None where an earlier release wrote the record.
        object_name: of the ConfigMap.
        roots: what verifiers judge of the recorded roots.
        vouches: what a stack of this program wrote there without naming an owner can only be this
            stack's: its record names none either, or there is no other stack's record.
        cluster_names: what the stack has called the cluster, the latest name first; none where an
            earlier release wrote the record.
    """

    cluster: str
    stage: TrustStage | None
    changed_at: datetime | None
    problem: str | None = None
    domain: Domain | None = None
    object_name: str = ""
    roots: tuple[CaFacts, ...] = ()
    cluster_names: tuple[str, ...] = ()
    vouches: bool = True


@dataclass(frozen=True, kw_only=True)
class ClockSkew:
    """How far an API server's clock is ahead of this machine's (behind it: negative ``offset``).

    The true difference is within ``uncertainty`` of ``offset``, in both directions.
    """

    offset: timedelta
    uncertainty: timedelta

    @classmethod
    def measured(cls, *, at: datetime, sent: datetime, received: datetime) -> ClockSkew:
        """Judge one answer.

        Args:
            at: its ``Date``: the server's clock without the fraction of a second (RFC 9110,
                section 5.6.7).
            sent: this machine's clock before the request.
            received: this machine's clock when the answer was there.
        """
        half_second, half_trip = timedelta(seconds=0.5), (received - sent) / 2
        return cls(
            offset=at + half_second - (sent + half_trip), uncertainty=half_trip + half_second
        )


@dataclass(frozen=True, kw_only=True)
class Untraceable:
    """A source of leaves in one cluster that does not show every leaf that it made.

    What it does not show is bounded by time alone (``mtls_pki.rotation.tracing``).

    Attributes:
        namespace: of the object that is the source, empty where it has none.
        kind: of the object: ``ClusterIssuer``, or ``Secret`` for all Secrets of cert-manager.
        name: of the object, empty for all of its kind.
        reason: why not every leaf is seen, and what to do where something helps.
    """

    namespace: str
    kind: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SessionObservation:
    """A connection that is open now; it lives on when its client's anchor is distrusted.

    Attributes:
        server: as people know it, such as ``orders@west``.
        client: who is connected, as the server knows it.
        authorities: identities of the CAs that the client presented with its leaf
            (`pki.fingerprints.spki_sha256`); empty where the server does not say.
        since: when it was opened, by the server's clock.
        named: fingerprints of the anchors that the names of these CAs lead to. Once no leaf of an
            issuing CA is left nothing shows its certificate, and its name alone tells whose it is.
        holds: an anchor that the client's chain leads to stays until the session has ended.
    """

    server: str
    client: str
    authorities: frozenset[str]
    since: datetime | None
    named: frozenset[str] = frozenset()
    holds: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterEvidence:
    """Everything that was read from one cluster.

    Attributes:
        uid: of its namespace ``kube-system``, which is made with the cluster and lives as long; so
            it names the cluster whatever a kubeconfig calls it. None for what is no cluster.
        observed_at: its API server's own clock when reading began, None for what is no cluster.
            The times in its evidence are by this clock.
        skew: how far that clock is from this machine's.
        gate: None when it has none yet.
        owned: the existing objects that the stack would write, whose they may be, and those that it
            has written and does not declare.
        remarks: what a person must know of who consumes trust there.
        sessions: connections that are open, as far as a server tells.
    """

    cluster: str
    uid: str | None = None
    observed_at: datetime | None = None
    skew: ClockSkew | None = None
    bundles: tuple[BundleObservation, ...] = ()
    leaves: tuple[LeafObservation, ...] = ()
    issuers: tuple[IssuerObservation, ...] = ()
    gate: GateObservation | None = None
    uses: tuple[IssuerUse, ...] = ()
    untraceable: tuple[Untraceable, ...] = ()
    owned: tuple[OwnedObject, ...] = ()
    remarks: tuple[str, ...] = ()
    sessions: tuple[SessionObservation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClusterUnreachable:
    """A cluster of which something could not be read; a part of an answer counts as no answer.

    The servers that ``trust.endpoints`` lists count as one such cluster.
    """

    cluster: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was read from all clusters of the stack, once per run.

    Attributes:
        observed_at: the earliest of the API servers' clocks when reading began.
        read_at: this machine's clock when everything was read, in whole seconds, rounded up; None
            where it is not known, and then ``observed_at`` counts (``rotation.clocks``).
        remembered: cluster -> UID that it had at the last update, where the reader remembers that.
    """

    observed_at: datetime
    clusters: tuple[ClusterEvidence | ClusterUnreachable, ...]
    read_at: datetime | None = None
    remembered: Mapping[str, str] = field(default_factory=dict)

    @property
    def reachable(self) -> tuple[ClusterEvidence, ...]:
        """The clusters that could be read."""
        return tuple(c for c in self.clusters if isinstance(c, ClusterEvidence))

    @property
    def unreachable(self) -> tuple[ClusterUnreachable, ...]:
        """The clusters that could not be read."""
        return tuple(c for c in self.clusters if isinstance(c, ClusterUnreachable))

    @property
    def bundles(self) -> tuple[BundleObservation, ...]:
        """The bundles of all clusters."""
        return tuple(bundle for cluster in self.reachable for bundle in cluster.bundles)

    @property
    def leaves(self) -> tuple[LeafObservation, ...]:
        """The leaves of all clusters."""
        return tuple(leaf for cluster in self.reachable for leaf in cluster.leaves)

    @property
    def issuers(self) -> tuple[IssuerObservation, ...]:
        """The issuers of all clusters."""
        return tuple(issuer for cluster in self.reachable for issuer in cluster.issuers)

    @property
    def uses(self) -> tuple[IssuerUse, ...]:
        """Who names the issuers of the stack, in all clusters."""
        return tuple(use for cluster in self.reachable for use in cluster.uses)

    def sessions_under(self, fingerprint: str) -> tuple[SessionObservation, ...]:
        """Return the open connections whose client authenticated by a chain to the anchor."""
        known, below = set(), set()
        for ca in self.known_cas:
            known.add(ca.spki)
            if fingerprint in (ca.spki, ca.signer):
                below.add(ca.spki)
        return tuple(
            session
            for cluster in self.reachable
            for session in cluster.sessions
            if session.authorities & below
            or (fingerprint in session.named and not session.authorities & known)
        )

    @property
    def undeclared(self) -> tuple[OwnedObject, ...]:
        """What the stack has written and does not declare, in all clusters that were read."""
        found = (each for cluster in self.reachable for each in cluster.owned)
        return tuple(sorted((each for each in found if not each.declared), key=lambda e: e.entry))

    @property
    def gates(self) -> tuple[GateObservation, ...]:
        """The gates of all clusters that have one."""
        return tuple(cluster.gate for cluster in self.reachable if cluster.gate)

    @property
    def known_cas(self) -> Iterator[CaFacts]:
        """Every CA certificate that is recorded, trusted or presented, some of them repeatedly."""
        for gate in self.gates:
            yield from gate.roots
        for bundle in self.bundles:
            yield from (member.facts for member in bundle.members if member.facts is not None)
        chains = {leaf.facts.chain for leaf in self.leaves if leaf.facts is not None}
        for chain in chains:
            yield from chain.presented

    @property
    def pinned(self) -> dict[str, str]:
        """Cluster -> UID that it must have: as clusters record it, else as the reader remembers."""
        recorded = self.recorded_domain
        clusters = recorded.domain.clusters if recorded is not None else {}
        return {**self.remembered, **{name: uid for name, uid in clusters.items() if uid}}

    @property
    def recorded_domain(self) -> RecordedDomain | None:
        """What the records of all clusters together say that the domain depends on."""
        return merged(
            RecordedDomain(domain=gate.domain, since=gate.changed_at)
            for gate in self.gates
            if gate.domain is not None
        )
