"""What is written into each cluster's gate: stage, domain and roots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pulumi import Input, Output

from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.rotation.domain import DOMAIN_KEY, succeeding
from mtls_pki.rotation.evidence import Evidence, GateObservation
from mtls_pki.rotation.stage import STAGE_KEY, TrustStage
from mtls_pki.rotation.tracing import longest_lifetime
from mtls_pki.settings.judgement import asked_stage
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stage_object_name
from mtls_pki.settings.trust_domain import (
    cluster_uids,
    configured_domain,
    configured_stage,
    partner_roots,
)


def gate_name(settings: Settings, cluster: str, evidence: Evidence) -> str:
    """Return the name of a cluster's gate object, which it keeps when the bundle is renamed."""
    gate = _gate(evidence, cluster)
    return gate.object_name if gate is not None else stage_object_name(settings)


def gate_data(
    settings: Settings, cluster: str, evidence: Evidence, anchors: Mapping[str, TrustAnchor]
) -> dict[str, Input[str]]:
    """Return the data of a cluster's gate object.

    A record of an earlier release, which says nothing of the domain, stays as it is until the stage
    changes, so that a stack is adopted without a change.
    """
    known = Output.all(**{name: anchor.fingerprint for name, anchor in anchors.items()})
    data: dict[str, Input[str]] = {
        STAGE_KEY: known.apply(lambda keys: configured_stage(settings, keys).to_json()),
        **{f"{name}.pem": anchor.certificate_pem for name, anchor in anchors.items()},
    }
    if _adopted(_gate(evidence, cluster), asked_stage(settings, evidence)):
        return data
    data |= {f"partner-{name}.pem": pem for name, pem in partner_roots(settings).items()}
    data[DOMAIN_KEY] = known.apply(
        lambda keys: _domain(settings, cluster, configured_stage(settings, keys), evidence)
    )
    return data


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
