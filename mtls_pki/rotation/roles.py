"""The roles that a trust anchor passes through, and what each of them means."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """Role of an anchor in a trust domain, as the user writes it in the stack's configuration.

    ======================= ======== ======= ==================================================
    role                    trusted? issues? what it is for
    ======================= ======== ======= ==================================================
    ``incoming``            yes      no      verifiers learn the new anchor before anything
                                             is issued from it
    ``issuing``             yes      yes     exactly one anchor at any time
    ``outgoing``            yes      no      verifiers keep the old anchor until no live leaf
                                             needs it
    ``compromised``         no       no      distrusted now, on purpose
    ======================= ======== ======= ==================================================

    A service may name a trusted anchor of its own (a canary), so ``incoming`` and ``outgoing``
    anchors issue for exactly the services that name them; see ``TrustStage.issuing_generations``.
    """

    INCOMING = "incoming"
    ISSUING = "issuing"
    OUTGOING = "outgoing"
    COMPROMISED = "compromised"

    @property
    def trusted(self) -> bool:
        """Whether every trust bundle of the domain holds an anchor in this role."""
        return self is not Role.COMPROMISED

    @property
    def issues(self) -> bool:
        """Whether services that name no anchor of their own get their leaves from this anchor."""
        return self is Role.ISSUING
