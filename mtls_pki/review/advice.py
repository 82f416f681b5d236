"""What comes after a change of trust, and how it is undone: sentences for each step."""

from __future__ import annotations

from mtls_pki.pages.document import Code, Line
from mtls_pki.review.kinds import Fate
from mtls_pki.review.trust import Resigned, TrustChange
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import Step, next_stages

MEANING = {
    Step.KEEP: "stays as it is",
    Step.BOOTSTRAP: "the domain begins with it",
    Step.ADD: "added: every bundle learns it, nothing is issued from it yet",
    Step.RESTORE: "its removal is taken back: every bundle trusts it again",
    Step.PROMOTE: "promoted: leaves are issued from it",
    Step.DEMOTE: "still trusted, issues nothing new",
    Step.REINSTATE: "issues again",
    Step.WITHDRAW: "stops issuing, stays trusted",
    Step.ABANDON: "abandoned: leaves every bundle, never issued",
    Step.RETIRE: "retired: leaves every bundle",
    Step.DISTRUST: "compromised: distrusted at once, connections break",
    Step.FORGET: "its entry is dropped; it was trusted by nobody",
}
"""What each step means for an anchor."""

OTHER_KEY = "another key under a name that is taken"
"""What it means where a generation stays and its key does not."""

NOT_ALLOWED = "not an allowed step"
"""What a change that the table of transitions refuses means."""

_REVERT = "Revert the commit and apply: "
_UNDO = {
    Step.BOOTSTRAP: "As long as nothing relies on it, the whole stack can be destroyed.",
    Step.ADD: f"{_REVERT}nothing was issued from {{}}, so nothing breaks, and its key is dropped.",
    Step.RESTORE: f"{_REVERT}{{}} is removed again, once no live leaf needs it.",
    Step.PROMOTE: f"{_REVERT}the former anchor issues again, and {{}} stays trusted until its "
    "leaves are gone.",
    Step.REINSTATE: "Promote the newer anchor again, under the same guards.",
    Step.DISTRUST: "Not undone: {} is never trusted again. The way on is a new generation.",
    Step.FORGET: "Nothing to undo: {} was trusted by nobody.",
}
_KEY_GOES = (
    "Not by a revert: the key of {} leaves the state with this update, and a revert would make "
    "another one. Back up the state first, or go on with a new generation."
)
_KEY_STAYS = f"{_REVERT}{{}} is trusted again; its key was never here."


def next_steps(trust: TrustChange) -> tuple[Line, ...]:
    """Return what a person does after this change is applied, in their order."""
    lines: list[Line] = []
    if any(issuer.stable and issuer.resigned is Resigned.OTHER_KEY for issuer in trust.issuers):
        lines.append(
            Line(
                "Have what other teams declared on the stable issuer issued again: ",
                Code(text="mtls-pki reissue"),
                ".",
            )
        )
    for stage in dict.fromkeys(change.new for change in trust.stages):
        lines += _after(stage)
    return tuple(dict.fromkeys(lines))


def _after(stage: TrustStage) -> list[Line]:
    lines: list[Line] = []
    if stage.canaries:
        named = ", ".join(f"{service} on {anchor}" for service, anchor in stage.canaries.items())
        lines.append(Line("Watch the canaries: ", named))
    for verb, after in next_stages(stage):
        subject = ", ".join(
            generation
            for generation in stage.anchors
            if after.role(generation) is Role.ISSUING is not stage.role(generation)
            or after.role(generation) is None
        )
        command = "retire" if verb == "forget" else verb
        when = {
            "promote": f"Issue from {subject}, once every bundle has held it for the hold-down: ",
            "retire": f"Remove {subject}, once no live leaf needs it: ",
            "forget": f"Drop the entry of {subject}, once no live leaf of it is left: ",
        }[verb]
        text = f"mtls-pki {command}" + (f" {subject}" if verb == "forget" else "")
        lines.append(Line(when, Code(text=text), "."))
    return lines


def undo(trust: TrustChange) -> tuple[Line, ...]:
    """Return for each change how it is taken back, and what cannot be."""
    gone = {key.name.removesuffix("-key") for key in trust.keys if key.fate is Fate.DELETED}
    lines: list[Line] = []
    # Where an anchor is distrusted there is no former one to go back to.
    for change in trust.changes:
        if trust.distrusts and change.step not in (Step.DISTRUST, Step.FORGET):
            continue
        name = change.generation
        if change.step in (Step.RETIRE, Step.ABANDON):
            lines.append(
                Line(f"{name}: {(_KEY_GOES if name in gone else _KEY_STAYS).format(name)}")
            )
        elif change.step in _UNDO:
            lines.append(Line(f"{name}: {_UNDO[change.step].format(name)}"))
    if lines:
        return tuple(lines)
    if any(stage.canaries for stage in trust.stages):
        lines.append(Line(f"{_REVERT}the canaries are issued again from the issuing anchor."))
    elif gone:
        lines.append(
            Line(
                f"{_REVERT}a new issuing CA is made, for the key of ",
                ", ".join(sorted(gone)),
                " leaves the state. Nothing breaks, as bundles hold roots only.",
            )
        )
    elif any(leaf.fate is not Fate.SAME for leaf in trust.leaves) or any(
        issuer.resigned is not Resigned.NO for issuer in trust.issuers
    ):
        lines.append(Line(f"{_REVERT}everything is as before."))
    return tuple(lines)
