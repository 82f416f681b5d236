"""The stage of the trust domain before and after, as a preview shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mtls_pki.engine.digest import UNKNOWN, Step, mapping
from mtls_pki.review.kinds import GATE, Fate, fate
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, StageError, TrustStage
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


def stage_changes(steps: Iterable[Step], config: Mapping[str, Any]) -> dict[str, StageChange]:
    """Return the change of stage by cluster, as the steps of its gate tell it.

    Args:
        steps: one a resource.
        config: of the preview; tells the roles where the record is not known before the update.
    """
    configured = _configured(config)
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


def _stage_change(step: Step, configured: Mapping[str, Any]) -> StageChange | None:
    if fate(step) is Fate.DELETED:
        return None
    old, new = _recorded(step.old), _recorded(step.new)
    if new is None:
        # A root that is not known yet is one of a key that is made, or made anew, by the update.
        roots = mapping(step.new.get("data"))
        known = {
            generation: anchor.fingerprint
            for generation, anchor in (old.anchors if old else {}).items()
            if roots.get(f"{generation}.pem") != UNKNOWN
        }
        new = _with_identities(configured, known)
    if new is None or not new.anchors:
        return None
    return StageChange(clusters=(step.provider,), old=old, new=new)


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


def _configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return roles and canaries as the configuration has them, unchecked."""
    anchors, services = (mapping(config.get(key)) for key in ("anchors", "services"))
    roles = {name: mapping(anchor).get("role") for name, anchor in anchors.items()}
    issuing = next((name for name, role in roles.items() if role == Role.ISSUING), None)
    named = {name: mapping(service) for name, service in services.items()}
    return {
        "roles": roles,
        "canaries": {
            f"{service.get('namespace')}/{service.get('name') or name}": service["anchor"]
            for name, service in named.items()
            if service.get("anchor") not in (None, issuing)
        },
    }


def _with_identities(
    configured: Mapping[str, Any], known: Mapping[str, str | None]
) -> TrustStage | None:
    try:
        return TrustStage(
            anchors={
                str(g): Anchor(role=Role(role), fingerprint=known.get(g))
                for g, role in configured["roles"].items()
            },
            canaries={str(s): str(g) for s, g in configured["canaries"].items()},
        )
    except ValueError:
        # The program says what is wrong with the configuration, and its message is shown.
        return None
