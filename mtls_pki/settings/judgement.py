"""The verdict on what a stack file asks for: one for `check`, previews and updates alike.

All three judge the same stages by the same evidence. What they differ in is what they know of the
keys: an update knows those that it has just made.
"""

from __future__ import annotations

from collections.abc import Mapping

from mtls_pki.exit_status import ExitStatus
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import Verdict, judge
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request, configured_stage, known_root


def recorded_stages(evidence: Evidence) -> tuple[TrustStage, ...]:
    """Return the stages that clusters record, each once; several while an update is under way."""
    stages = (gate.stage for gate in evidence.gates)
    return tuple(dict.fromkeys(stage for stage in stages if stage is not None))


def known_fingerprints(settings: Settings, evidence: Evidence) -> dict[str, str | None]:
    """Return the identities of anchors as far as they are known without the keys.

    They are the recorded ones, those of certificates made elsewhere, and those by which the stack
    file names compromised anchors. Where a record was lost, a root in a bundle that says exactly
    what the configuration says is that anchor. A generation that is not in the result has no key
    yet.
    """
    known: dict[str, str | None] = {
        name: anchor.fingerprint
        for name, anchor in settings.anchors.items()
        if not anchor.role.trusted
    }
    for stage in reversed(recorded_stages(evidence)):
        known |= {name: anchor.fingerprint for name, anchor in stage.anchors.items()}
    for name, anchor in settings.anchors.items():
        if anchor.certificate is not None:
            origin = f"anchors.{name}.certificate"
            known[name] = spki_sha256(parse_certificate(anchor.certificate.pem, origin=origin))
    for name, anchor in settings.anchors.items():
        if name not in known and (found := known_root(anchor, evidence)) is not None:
            known[name] = found.spki
    return known


def asked_stage(
    settings: Settings, evidence: Evidence, made: Mapping[str, str | None] | None = None
) -> TrustStage:
    """Return the stage that the stack file asks for.

    Args:
        settings: the stack's settings.
        evidence: of its clusters.
        made: generation -> fingerprint, where a run knows more than the clusters; None for a key
            that it makes anew.
    """
    return configured_stage(settings, known_fingerprints(settings, evidence) | dict(made or {}))


class DomainJudge:
    """Judges by one set of rules and one evidence; each distinct change once.

    Attributes:
        evidence: of all clusters of the stack.
    """

    def __init__(self, settings: Settings, evidence: Evidence, mode: Mode) -> None:
        """Judge for a run of ``mode``; nothing is judged before it is asked for."""
        self.evidence = evidence
        self._settings = settings
        self._mode = mode
        self._verdicts: dict[tuple[TrustStage | None, TrustStage], Verdict] = {}

    def stage_before(
        self, cluster: str, *, remembered: TrustStage | None = None
    ) -> TrustStage | None:
        """Return the stage from which the change of one cluster starts.

        It is the recorded one. For a cluster that cannot be read, the other clusters' stage stands.

        Args:
            cluster: its name.
            remembered: what the engine applied last, where the cluster shows no record.
        """
        gates = {gate.cluster: gate.stage for gate in self.evidence.gates}
        if (recorded := gates.get(cluster)) is not None:
            return recorded
        read = any(each.cluster == cluster for each in self.evidence.reachable)
        if remembered is not None or read:
            return remembered
        return next(iter(recorded_stages(self.evidence)), None)

    def verdict(self, old: TrustStage | None, new: TrustStage) -> Verdict:
        """Return the verdict on the change from ``old`` to ``new``."""
        if (old, new) not in self._verdicts:
            request = change_request(self._settings, self.evidence, old=old, new=new)
            now = self.evidence.observed_at
            self._verdicts[old, new] = judge(request, self.evidence, now=now, mode=self._mode)
        return self._verdicts[old, new]

    def verdicts(self, new: TrustStage) -> tuple[Verdict, ...]:
        """Return the verdicts of all clusters of the stack, equal changes once."""
        olds = dict.fromkeys(map(self.stage_before, self._settings.clusters))
        return tuple(self.verdict(old, new) for old in olds)


def decisive(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict that stops an update; among equals, the one about a change."""
    return max(verdicts, key=lambda one: (_SEVERITY[one.exit_code], one.request.changes))


_SEVERITY = {ExitStatus.DONE: 0, ExitStatus.EVIDENCE_MISSING: 1, ExitStatus.BLOCKED: 2}
