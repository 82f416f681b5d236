"""What is written into each cluster's gate: stage, domain and roots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pulumi import Output

from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.rotation.domain import DOMAIN_KEY, succeeding
from mtls_pki.rotation.evidence import Evidence, GateObservation
from mtls_pki.rotation.stage import STAGE_KEY, TrustStage
from mtls_pki.rotation.tracing import longest_lifetime
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stage_object_name
from mtls_pki.settings.trust_domain import (
    cluster_uids,
    configured_domain,
    configured_stage,
    partner_roots,
)


def gate_name(settings: Settings, cluster: str, evidence: Output[Evidence]) -> Output[str]:
    """Return the name of a cluster's gate object, which it keeps when the bundle is renamed."""

    def found(seen: Evidence) -> str:
        gate = _gate(seen, cluster)
        return gate.object_name if gate is not None else stage_object_name(settings)

    return evidence.apply(found)


def gate_data(
    settings: Settings,
    cluster: str,
    evidence: Output[Evidence],
    anchors: Mapping[str, TrustAnchor],
) -> Output[dict[str, str]]:
    """Return the data of a cluster's gate object.

    A record of an earlier release, which says nothing of the domain, stays as it is until the stage
    changes, so that a stack is adopted without a change.
    """
    fingerprints = {generation: anchor.fingerprint for generation, anchor in anchors.items()}
    pems = {f"{name}.pem": anchor.certificate_pem for name, anchor in anchors.items()}

    def data(known: Mapping[str, str], roots: Mapping[str, str], seen: Evidence) -> dict[str, str]:
        stage = configured_stage(settings, known)
        written = {STAGE_KEY: stage.to_json(), **roots}
        if _adopted(_gate(seen, cluster), stage):
            return written
        partners = {f"partner-{name}.pem": pem for name, pem in partner_roots(settings).items()}
        return {**written, **partners, DOMAIN_KEY: _domain(settings, cluster, stage, seen)}

    return Output.all(
        known=Output.all(**fingerprints), roots=Output.all(**pems), seen=evidence
    ).apply(lambda all_of: data(all_of["known"], all_of["roots"], all_of["seen"]))


def _gate(evidence: Evidence, cluster: str) -> GateObservation | None:
    return next((gate for gate in evidence.gates if gate.cluster == cluster), None)


def _adopted(gate: GateObservation | None, stage: TrustStage) -> bool:
    """Whether an earlier release wrote the record, and nothing in it changes."""
    return gate is not None and gate.domain is None and gate.stage == stage


def _domain(settings: Settings, cluster: str, stage: TrustStage, evidence: Evidence) -> str:
    configured = configured_domain(settings, cluster_uids(evidence), stage)
    # What an earlier release recorded without saying who issued: any of them may have.
    former = {
        anchor.fingerprint: generation
        for gate in evidence.gates
        if gate.domain is None and gate.stage is not None
        for generation, anchor in gate.stage.anchors.items()
        if anchor.fingerprint is not None
    }
    configured = replace(
        configured,
        generations={**former, **configured.generations},
        issued=configured.issued | former.keys(),
    )
    recorded = evidence.recorded_domain
    written = succeeding(configured, recorded, evidence.observed_at)
    gate = _gate(evidence, cluster)
    if recorded is not None and gate is not None and gate.stage == stage:
        before = recorded.domain
        # What passes with time, or is learnt from leaves, is no reason of its own to write.
        if before == replace(
            written,
            former_hold_down=before.former_hold_down,
            longest_lifetime=before.longest_lifetime,
        ):
            return before.to_json()
    lifetime = longest_lifetime(evidence, written.longest_lifetime)
    return replace(written, longest_lifetime=lifetime).to_json()
