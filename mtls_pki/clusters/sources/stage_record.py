"""The stage record of a cluster: what the gate last applied, and every anchor that it knows.

The record is the ConfigMap ``<trust.name>-stage`` in ``issuing.clusterResourceNamespace``, with the
stage under ``stage.json`` and the root certificate of every generation under ``<generation>.pem``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography import x509

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.clusters.sources.source import Source, Trusted
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.evidence import GateObservation
from mtls_pki.rotation.stage import STAGE_KEY, StageError, TrustStage
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stage_object_name

_CERTIFICATE_SUFFIX = ".pem"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What one cluster's record says.

    Attributes:
        gate: the recorded stage, None where the cluster has no record yet.
        anchors: the recorded root certificates, of compromised generations too.
    """

    gate: GateObservation | None
    anchors: tuple[x509.Certificate, ...]


class StageRecordSource(Source):
    """What the gates last applied."""

    def trusted(self, cluster: Cluster, settings: Settings) -> Trusted:
        """Read the record of one cluster, and every anchor that it knows."""
        record = read_stage_record(cluster, settings)
        return Trusted(anchors=record.anchors, gate=record.gate)


def read_stage_record(cluster: Cluster, settings: Settings) -> StageRecord:
    """Return the stage record of one cluster; what is wrong with it becomes ``gate.problem``.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    namespace, name = settings.issuing.cluster_resource_namespace, stage_object_name(settings)
    live = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    if live is None:
        return StageRecord(gate=None, anchors=())
    data: Mapping[str, str] = live.get("data") or {}
    origin = f"ConfigMap {namespace}/{name}"
    problems: list[str] = []
    stage = None
    try:
        stage = _stage(data, origin)
    except StageError as error:
        problems.append(str(error))
    anchors = tuple(_anchors(data, origin, problems))
    if stage is not None:
        problems += _unproven(stage, anchors, origin)
    return StageRecord(
        gate=GateObservation(
            cluster=cluster.name,
            stage=stage,
            changed_at=owned_since(live["metadata"], "f:data", f"f:{STAGE_KEY}"),
            problem="; ".join(problems) or None,
        ),
        anchors=anchors,
    )


def _stage(data: Mapping[str, str], origin: str) -> TrustStage:
    if STAGE_KEY not in data:
        raise StageError(f"{origin}: has no {STAGE_KEY}; run `pulumi up` to write it again")
    return TrustStage.from_json(data[STAGE_KEY], origin=origin)


def _anchors(
    data: Mapping[str, str], origin: str, problems: list[str]
) -> Iterator[x509.Certificate]:
    """Yield the certificates that can be read; what cannot is added to ``problems``."""
    for key, pem in sorted(data.items()):
        if not key.endswith(_CERTIFICATE_SUFFIX):
            continue
        try:
            yield from parse_certificates(pem, origin=f"{origin}, {key}")
        except PkiError as error:
            problems.append(str(error))


def _unproven(
    stage: TrustStage, anchors: tuple[x509.Certificate, ...], origin: str
) -> Iterator[str]:
    """Yield a complaint for each anchor whose certificate is not there to judge leaves by."""
    recorded = {spki_sha256(anchor) for anchor in anchors}
    for generation, anchor in stage.anchors.items():
        if anchor.fingerprint not in recorded:
            yield (
                f"{origin}: no certificate in it has the key of {generation} "
                f"(sha256:{anchor.fingerprint}); run `pulumi up` to write it again"
            )
