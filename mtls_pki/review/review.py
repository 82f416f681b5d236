"""What a preview means, gathered from what it changes and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from mtls_pki.engine.digest import Preview
from mtls_pki.engine.findings import PolicyFinding
from mtls_pki.review.trust import TrustChange, trust_change
from mtls_pki.review.verdict import Outcome, Spoken, spoken


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a preview means.

    Attributes:
        stack: name of the stack.
        commit: that was previewed, None where nobody said.
        preview: as it was read.
        trust: what changes in terms of trust.
        said: the guard's verdict, warnings and errors.
        findings: of the policy pack, mandatory ones first.
    """

    stack: str
    commit: str | None
    preview: Preview
    trust: TrustChange
    said: Spoken
    findings: tuple[PolicyFinding, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What it comes to: the engine refuses the update for a mandatory finding, too."""
        forbidden = any(finding.mandatory for finding in self.findings)
        if forbidden and self.said.outcome is not Outcome.REFUSED:
            return Outcome.FAILED
        return self.said.outcome

    @property
    def stopped(self) -> bool:
        """Whether nothing of it can be applied."""
        return self.outcome in (Outcome.REFUSED, Outcome.FAILED)

    @property
    def cut_short(self) -> bool:
        """Whether the engine stopped before it had seen every change; for a finding it does not."""
        return self.said.outcome in (Outcome.REFUSED, Outcome.FAILED)


def review(
    preview: Preview,
    *,
    stack: str,
    commit: str | None = None,
    findings: tuple[PolicyFinding, ...] = (),
) -> Review:
    """Return what ``preview`` of ``stack`` means, with what a policy pack found in it."""
    said = spoken(preview, explained=any(finding.mandatory for finding in findings))
    return Review(
        stack=stack,
        commit=commit,
        preview=preview,
        trust=trust_change(preview, said),
        said=said,
        findings=findings,
    )
