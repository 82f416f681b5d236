"""What a verdict judges: a change of stage, and the configuration that it depends on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.rotation.domain import Domain, RecordedDomain
from mtls_pki.rotation.evidence import BundlePlace
from mtls_pki.rotation.owned_object import Claim
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import Acknowledgement


class Mode(enum.StrEnum):
    """When a change is judged: missing evidence is a warning of a preview, and stops an update."""

    PREVIEW = "preview"
    UP = "up"


@dataclass(frozen=True, kw_only=True)
class AnchorFacts:
    """What the configuration says of an anchor's certificates; all times are aware UTC.

    ``issuing_ca_not_before`` and ``issuing_ca_not_after`` are the dates of the issuing CA below it,
    None when the anchor itself signs leaves, or when the issuing CA is held elsewhere.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    issuing_ca_not_after: datetime | None = None
    issuing_ca_not_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeRequest:
    """A change of stage, as one cluster's gate sees it.

    Attributes:
        trust_domain: its name, for messages.
        old: the stage that the gate records, None when there is no gate yet.
        new: the stage that the configuration asks for.
        facts: per generation of ``new``; a generation without facts is not checked for its dates.
        places: every place of the trust bundle that the configuration asks for, all clusters.
        hold_down: how long a bundle must have held an anchor before anything issues from it; the
            longer of the configured and the recorded one.
        acknowledgements: per compromised generation, what the configuration says about it.
        claim: who the stack is, and whose objects it adopts.
        recorded: what the clusters record that the domain depends on; None where an earlier release
            wrote all records, or there is none.
        domain: what the configuration makes of it.
        abandon: what may leave although it is used, such as ``namespace/shop``.
        roots: what verifiers will judge of each trusted root, per generation and, as
            ``partner NAME``, per partner.
        issuing: per generation, the certificates that its leaves will present, issuing CA first;
            empty where the root signs leaves itself.
        declared: cluster, namespace and name of each Certificate that the configuration declares.
    """

    trust_domain: str
    old: TrustStage | None
    new: TrustStage
    facts: Mapping[str, AnchorFacts]
    places: tuple[BundlePlace, ...]
    hold_down: timedelta
    acknowledgements: Mapping[str, Acknowledgement] = field(default_factory=dict)
    claim: Claim = field(default_factory=Claim)
    recorded: RecordedDomain | None = None
    domain: Domain | None = None
    abandon: frozenset[str] = frozenset()
    roots: Mapping[str, CaFacts] = field(default_factory=dict)
    issuing: Mapping[str, tuple[CaFacts, ...]] = field(default_factory=dict)
    declared: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def trusted_after(self) -> frozenset[str]:
        """Fingerprints that every bundle holds after the change: of anchors and of partners."""
        partners = self.domain.partners.values() if self.domain is not None else ()
        return self.new.trusted_fingerprints | frozenset(partners)

    @property
    def longest_lifetime(self) -> timedelta:
        """The longest of any leaf that the configuration allows, or that is recorded."""
        domains = [self.domain, self.recorded.domain if self.recorded else None]
        return max((each.longest_lifetime for each in domains if each), default=timedelta(0))

    @property
    def roots_after(self) -> frozenset[CaFacts]:
        """What every bundle holds after the change; empty where only keys are known."""
        gone = {generation for generation in self.roots if generation not in self.new.trusted}
        return frozenset(
            root
            for name, root in self.roots.items()
            if name not in gone or name.startswith("partner ")
        )

    def with_stage(self, stage: TrustStage) -> ChangeRequest:
        """Return the change to ``stage`` of the same configuration, where only roles differ."""
        domain = self.domain and replace(
            self.domain,
            issuers={
                name: generation
                for name, generation in self.domain.issuers.items()
                if generation in stage.trusted
            },
        )
        return replace(self, new=stage, domain=domain)

    @property
    def changes(self) -> bool:
        """Whether the stage changes at all."""
        return self.old != self.new
