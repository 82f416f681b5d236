"""What an anchor that is declared compromised waives, and what is remembered of it.

A waiver lifts what has to do with the stolen key and nothing else: its own leaves are not waited
for, and neither is the hold-down of the anchor that takes over from it.
"""

from __future__ import annotations

from collections.abc import Callable

from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Refusal


def distrusted_now(request: ChangeRequest, evidence: Evidence) -> frozenset[str]:
    """Return the generations that this update takes out of somebody's trust as compromised.

    One that every cluster records as compromised, and that no bundle holds, is history: a cluster
    that joins, or a record that was lost, is judged like any other then.
    """
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if request.old is not None:
        stages.append(request.old)
    held = {member.fingerprint for bundle in evidence.bundles for member in bundle.members}
    for stage in stages:
        held |= stage.trusted_fingerprints
    return frozenset(
        generation
        for generation in request.new.in_role(Role.COMPROMISED)
        if request.new.anchors[generation].fingerprint in held
    )


def takes_over(request: ChangeRequest, evidence: Evidence, generation: str) -> bool:
    """Whether ``generation`` becomes issuing because the issuing anchor is distrusted now."""
    if request.new.issuing != generation:
        return False
    stages = [gate.stage for gate in evidence.gates if gate.stage is not None]
    if request.old is not None:
        stages.append(request.old)
    now_distrusted = distrusted_now(request, evidence)
    return any(stage.issuing in now_distrusted for stage in stages)


def waivable(request: ChangeRequest, evidence: Evidence) -> Callable[[Refusal], bool]:
    """Return what tells whether this update need not wait for a refusal.

    The hold-down of the anchor that takes over from the stolen one is waived, and so are clusters
    that cannot be read: the person who stole the key may have cut them off.
    """
    if not distrusted_now(request, evidence):
        return lambda _: False

    def waived(refusal: Refusal) -> bool:
        if refusal.rule is rules.HELD_EVERYWHERE:
            return refusal.generation is not None and takes_over(
                request, evidence, refusal.generation
            )
        return refusal.rule is rules.EVIDENCE_COMPLETE

    return waived


def distrusted_stay_so(request: ChangeRequest) -> list[Refusal]:
    """Refuse to trust a key that was ever declared compromised, under whatever name."""
    recorded = request.recorded.domain.distrusted if request.recorded else frozenset()
    trusted = {
        f"anchors.{generation}": request.new.anchors[generation].fingerprint
        for generation in request.new.trusted
    }
    if request.domain is not None:
        for name, fingerprint in request.domain.partners.items():
            trusted[f"trust.partners.{name}"] = fingerprint
    return [
        Refusal(
            rule=rules.STAYS_COMPROMISED,
            fingerprint=fingerprint,
            seen=(f"{path} has the key sha256:{fingerprint}, which was declared compromised",),
            remedy=f"remove {path}, and add a new generation with a new key",
        )
        for path, fingerprint in trusted.items()
        if fingerprint in recorded
    ]
