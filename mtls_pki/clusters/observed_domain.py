"""One trust domain as its stack file wants it and as its clusters show it, ready to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.sources.source import Source
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.plan import Plan, plan
from mtls_pki.rotation.report import changes_line
from mtls_pki.rotation.request import ChangeRequest, Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import classify
from mtls_pki.rotation.verdict import Verdict, judge
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request, configured_stage


@dataclass(frozen=True, kw_only=True)
class ObservedDomain:
    """What the stack file asks for, and what was read from the clusters."""

    settings: Settings
    evidence: Evidence

    @property
    def recorded(self) -> tuple[TrustStage, ...]:
        """The stages that clusters record, each once; several while an update is not finished."""
        stages = (gate.stage for gate in self.evidence.gates)
        return tuple(dict.fromkeys(stage for stage in stages if stage is not None))

    @property
    def configured(self) -> TrustStage:
        """The stage that the file asks for.

        Identities are the recorded ones, those of brought certificates, or None for an anchor
        whose key no record shows, as in a preview.
        """
        fingerprints: dict[str, str | None] = {}
        for stage in reversed(self.recorded):
            fingerprints |= {name: anchor.fingerprint for name, anchor in stage.anchors.items()}
        for name, anchor in self.settings.anchors.items():
            if anchor.certificate is not None:
                origin = f"anchors.{name}.certificate"
                root = parse_certificate(anchor.certificate.pem, origin=origin)
                fingerprints[name] = spki_sha256(root)
        return configured_stage(self.settings, fingerprints)

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

    def verdict(self) -> Verdict:
        """Judge the change from what the clusters record to what the file asks for.

        Every cluster's gate judges for itself; the verdict that would stop `up` is returned, and
        among equals the one about a change.
        """
        gates = {gate.cluster: gate.stage for gate in self.evidence.gates}
        fallback = self.recorded[0] if self.recorded else None
        olds = {
            gates.get(cluster.cluster, None if self._read(cluster.cluster) else fallback)
            for cluster in self.evidence.clusters
            if cluster.cluster in self.settings.clusters
        }
        verdicts = [
            judge(self._request(old, self.configured), self.evidence, now=self._now, mode=Mode.UP)
            for old in olds
        ]
        return max(verdicts, key=lambda one: (_SEVERITY[one.exit_code], one.request.changes))

    @property
    def _now(self) -> datetime:
        return self.evidence.observed_at

    def _read(self, cluster: str) -> bool:
        return any(each.cluster == cluster for each in self.evidence.reachable)

    def _request(self, old: TrustStage | None, new: TrustStage) -> ChangeRequest:
        return change_request(self.settings, self.evidence, old=old, new=new)


_SEVERITY = {ExitStatus.DONE: 0, ExitStatus.EVIDENCE_MISSING: 1, ExitStatus.BLOCKED: 2}


def observe_domain(settings: Settings, *, sources: Sequence[Source]) -> ObservedDomain:
    """Read the clusters of a stack.

    A cluster that cannot be read is part of the evidence and raises nothing.

    Args:
        settings: of the stack.
        sources: where its evidence comes from.
    """
    return ObservedDomain(settings=settings, evidence=collect_evidence(settings, sources=sources))
