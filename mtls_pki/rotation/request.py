"""What a verdict judges: a change of stage, and the configuration that it depends on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mtls_pki.rotation.evidence import BundlePlace
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import Acknowledgement


class Mode(enum.StrEnum):
    """When a change is judged: missing evidence is a warning of a preview, and stops an update."""

    PREVIEW = "preview"
    UP = "up"


@dataclass(frozen=True, kw_only=True)
class AnchorFacts:
    """What the configuration says of an anchor's certificates; all times are aware UTC.

    ``issuing_ca_not_after`` is the end of the issuing CA below it, None when the anchor itself
    signs leaves, or when the issuing CA is held elsewhere.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    issuing_ca_not_after: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeRequest:
    """A change of stage, as one cluster's gate sees it.

    Attributes:
        trust_domain: its name, for messages.
        old: the stage that the gate records, None when there is no gate yet.
        new: the stage that the configuration asks for.
        facts: per generation of ``new``; a generation without facts is not checked for its dates.
        places: every place of the trust bundle that the configuration asks for, all clusters.
        hold_down: how long a bundle must have held an anchor before anything issues from it.
        acknowledgements: per compromised generation, what the configuration says about it.
    """

    trust_domain: str
    old: TrustStage | None
    new: TrustStage
    facts: Mapping[str, AnchorFacts]
    places: tuple[BundlePlace, ...]
    hold_down: timedelta
    acknowledgements: Mapping[str, Acknowledgement] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether the stage changes at all."""
        return self.old != self.new

    @property
    def distrusts(self) -> bool:
        """Whether this change declares an anchor compromised."""
        before = self.old
        return any(
            not anchor.role.trusted and (before is None or before.role(generation) != anchor.role)
            for generation, anchor in self.new.anchors.items()
        )
