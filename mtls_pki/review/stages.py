"""The stage of the trust domain before and after, as a preview shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mtls_pki.engine.digest import GATE, Step
from mtls_pki.review.kinds import Fate, fate
from mtls_pki.rotation.stage import StageError, TrustStage
from mtls_pki.rotation.transitions import Change, classify


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """The stage before and after in clusters that are alike.

    Attributes:
        clusters: their names.
        old: None where no stage is recorded yet.
        new: what the configuration asks for; fingerprints are None for keys yet to be made.
    """

    clusters: tuple[str, ...]
    old: TrustStage | None
    new: TrustStage

    @property
    def changes(self) -> tuple[Change, ...]:
        """What happens to every generation."""
        return classify(self.old, self.new)

    @property
    def canaries(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """Services that name another anchor than before: service, before, after."""
        before, after = self.old.canaries if self.old else {}, self.new.canaries
        return tuple(
            (service, before.get(service), after.get(service))
            for service in sorted({*before, *after})
            if before.get(service) != after.get(service)
        )


def stage_changes(steps: Iterable[Step], configured: TrustStage | None) -> dict[str, StageChange]:
    """Return the change of stage by cluster, as the steps of its gate tell it.

    Args:
        steps: one a resource.
        configured: what the guard judged, for a record that is not known before the update; None
            where the guard has not spoken.
    """
    gates = (step for step in steps if GATE in step.parents)
    found = {gate.provider: _stage_change(gate, configured) for gate in gates}
    return {cluster: stage for cluster, stage in found.items() if stage is not None}


def grouped(stages: Iterable[StageChange]) -> tuple[StageChange, ...]:
    """Return the changes that are alike as one, those of the most clusters first."""
    groups: dict[tuple[TrustStage | None, TrustStage], list[str]] = {}
    for stage in stages:
        groups.setdefault((stage.old, stage.new), []).extend(stage.clusters)
    found = [
        StageChange(clusters=tuple(sorted(clusters)), old=old, new=new)
        for (old, new), clusters in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-len(each.clusters), each.clusters)))


def _stage_change(step: Step, configured: TrustStage | None) -> StageChange | None:
    if fate(step) is Fate.DELETED:
        return None
    new = _recorded(step.new) or configured
    if new is None or not new.anchors:
        return None
    return StageChange(clusters=(step.provider,), old=_recorded(step.old), new=new)


def _recorded(inputs: Mapping[str, Any]) -> TrustStage | None:
    """Return the stage in the ConfigMap of a gate, whichever key it stands under."""
    data = inputs.get("data")
    for text in data.values() if isinstance(data, dict) else ():
        if isinstance(text, str) and text.startswith("{"):
            try:
                return TrustStage.from_json(text, origin="preview")
            except StageError:
                continue
    return None
