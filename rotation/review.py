"""What a preview means, gathered from what it changes and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from rotation.review_digest import Preview
from rotation.review_trust import TrustChange, trust_change
from rotation.review_verdict import Outcome, Spoken, spoken


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a preview means.

    Attributes:
        stack: name of the stack.
        commit: that was previewed, None where nobody said.
        preview: as it was read.
        trust: what changes in terms of trust.
        said: the guard's verdict, warnings and errors.
    """

    stack: str
    commit: str | None
    preview: Preview
    trust: TrustChange
    said: Spoken

    @property
    def outcome(self) -> Outcome:
        """What it comes to."""
        return self.said.outcome


def review(preview: Preview, *, stack: str, commit: str | None = None) -> Review:
    """Return what ``preview`` of ``stack`` means."""
    return Review(
        stack=stack,
        commit=commit,
        preview=preview,
        trust=trust_change(preview),
        said=spoken(preview),
    )
