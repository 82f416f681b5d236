"""One trust domain as its stack file wants it and as its clusters show it, ready to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.sources.source import Source
from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.health import broken
from mtls_pki.rotation.plan import Plan, plan
from mtls_pki.rotation.report import changes_line
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.rules import Notice
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import classify
from mtls_pki.rotation.verdict import Verdict
from mtls_pki.settings.judgement import DomainJudge, asked_stage, decisive, recorded_stages
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request


@dataclass(frozen=True, kw_only=True)
class ObservedDomain:
    """What the stack file asks for, and what was read from the clusters."""

    settings: Settings
    evidence: Evidence

    @property
    def recorded(self) -> tuple[TrustStage, ...]:
        """The stages that clusters record, each once; several while an update is not finished."""
        return recorded_stages(self.evidence)

    @property
    def configured(self) -> TrustStage:
        """The stage that the file asks for; a fingerprint is None where no record shows the key."""
        return asked_stage(self.settings, self.evidence)

    @property
    def applied(self) -> TrustStage:
        """The stage that holds: what the file asks for once any cluster records it, else the
        recorded one, else (before the first update) the file's.
        """
        if not self.recorded or self.configured in self.recorded:
            return self.configured
        return self.recorded[0]

    @property
    def pending(self) -> str:
        """What the file asks for that is not applied, in words; empty when nothing is pending."""
        return changes_line(classify(self.applied, self.configured))

    @property
    def exit_code(self) -> ExitStatus:
        """Of a command that only looks: evidence may be missing."""
        return ExitStatus.EVIDENCE_MISSING if self.evidence.unreachable else ExitStatus.DONE

    def plan(self) -> Plan:
        """Return the position, and the steps that remain from the stage that holds."""
        return plan(self._request(self.applied, self.applied), self.evidence, now=self._now)

    def broken(self) -> tuple[Notice, ...]:
        """Return what is broken now; nothing is before the first update."""
        return broken(self.plan().position.notices) if self.recorded else ()

    def verdict(self) -> Verdict:
        """Judge the change from what the clusters record to what the file asks for.

        Every cluster's gate judges for itself; the verdict that would stop `up` is returned, and
        among equals the one about a change.
        """
        judge = DomainJudge(self.settings, self.evidence, Mode.UP)
        return decisive(judge.verdicts(self.configured))

    @property
    def _now(self) -> datetime:
        return self.evidence.observed_at

    def _request(self, old: TrustStage | None, new: TrustStage) -> ChangeRequest:
        return change_request(self.settings, self.evidence, old=old, new=new)


def observe_domain(settings: Settings, *, sources: Sequence[Source]) -> ObservedDomain:
    """Read the clusters of a stack.

    A cluster that cannot be read is part of the evidence and raises nothing.

    Args:
        settings: of the stack.
        sources: where its evidence comes from.
    """
    return ObservedDomain(settings=settings, evidence=collect_evidence(settings, sources=sources))
