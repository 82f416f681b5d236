"""The domain before and after a change, as boxes."""

from __future__ import annotations

from collections import Counter

from mtls_pki.pages.document import AnchorBox, Picture, Scene, Signer
from mtls_pki.review.kinds import Fate
from mtls_pki.review.trust import TrustChange
from mtls_pki.rotation.stage import TrustStage

_ANCHORS, _SIGNERS = 6, 3
_LETTERS = 60


def picture(trust: TrustChange) -> Picture | None:
    """Return the picture of a change that moves trust or leaves; None where it would say nothing.

    Clusters that differ from the first are told in words; a picture of each would be too much.
    """
    moved = trust.moves or any(leaf.reissued for leaf in trust.leaves)
    if not trust.stages or not moved:
        return None
    stage = trust.stages[0]
    return Picture(
        before=_scene(trust, stage.old, after=False), after=_scene(trust, stage.new, after=True)
    )


def _scene(trust: TrustChange, stage: TrustStage | None, *, after: bool) -> Scene:
    if stage is None:
        return Scene(bundles=0, anchors=())
    absent = Fate.DELETED if after else Fate.CREATED
    leaves = Counter(
        leaf.issuer if after else leaf.former for leaf in trust.leaves if leaf.fate is not absent
    )
    names = {
        issuer.name for issuer in trust.issuers if issuer.fate is not absent and not issuer.stable
    }
    signers: dict[str, list[Signer]] = {}
    for name in sorted(names | set(leaves)):
        owner = trust.generations.get(name, "")
        if owner in stage.anchors:
            signer = Signer(name=name[:_LETTERS], certificates=leaves[name])
            signers.setdefault(owner, []).append(signer)
    return Scene(
        bundles=sum(bundle.fate is not absent for bundle in trust.bundles),
        anchors=tuple(
            AnchorBox(
                generation=generation,
                role=anchor.role.value,
                bundled=anchor.role.trusted,
                signers=tuple(signers.get(generation, ())[:_SIGNERS]),
            )
            for generation, anchor in list(stage.anchors.items())[:_ANCHORS]
        ),
    )
