"""The stage record of a cluster: what the gate last applied, and every anchor that it knows.

The record is a ConfigMap in ``issuing.clusterResourceNamespace``, with the stage under
``stage.json``, what else the domain depends on under ``domain.json``, and the root certificate of
every generation under ``<generation>.pem``. It was called ``<trust.name>-stage`` when it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.ownership import cluster_names, owned_object
from mtls_pki.clusters.recorded import owned_since
from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.rotation.domain import DOMAIN_KEY, Domain
from mtls_pki.rotation.evidence import GateObservation
from mtls_pki.rotation.owned_object import OwnedObject
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
        owned: the object under the name that the record would be made with, whose it may be.
    """

    gate: GateObservation | None
    anchors: tuple[x509.Certificate, ...]
    owned: tuple[OwnedObject, ...] = ()


def read_stage_record(cluster: Cluster, settings: Settings) -> StageRecord:
    """Return the stage record of one cluster; what is wrong with it becomes ``gate.problem``.

    It is looked up under the name that it would be made with now. Where there is none of this
    stack, the bundle may have been renamed since, so all records of the namespace are looked at.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    namespace, name = settings.issuing.cluster_resource_namespace, stage_object_name(settings)
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    live = cluster.get(f"{collection}/{name}")
    found = live if live is not None and _is_own(live, settings, unmarked=True) else None
    if found is not None and not _marked(found):
        return _record(cluster.name, found)
    records = cluster.list_all(collection, lambda each: each if _is_record(each) else None)
    for each in sorted(records, key=lambda one: str(one["metadata"]["name"])):
        if found is None and _is_own(each, settings, unmarked=_names_ours(each, settings)):
            found = each
    if found is not None:
        return _record(cluster.name, found, alone=not _marked(found) or len(records) < 2)
    owned = () if live is None else (_owned(cluster.name, live),)
    return StageRecord(gate=None, anchors=(), owned=owned)


def _marked(live: Mapping[str, Any]) -> bool:
    """Whether an annotation names the owner; ``domain.json`` also says it of older records."""
    return owned_object("", "ConfigMap", live["metadata"]).owner is not None


def _is_own(live: Mapping[str, Any], settings: Settings, *, unmarked: bool) -> bool:
    """Whether a record is this stack's; ``unmarked`` is the answer for one that does not say."""
    owner = _owned("", live).owner
    return unmarked if owner is None else settings.claim.holds(owner)


def _owned(cluster: str, live: Mapping[str, Any]) -> OwnedObject:
    return owned_object(cluster, "ConfigMap", live["metadata"], owner=_owner(live))


def _is_record(live: Mapping[str, Any]) -> bool:
    return STAGE_KEY in (live.get("data") or {})


def _owner(live: Mapping[str, Any]) -> str | None:
    """Whose record it says that it is, None where an earlier release wrote it."""
    text = (live.get("data") or {}).get(DOMAIN_KEY)
    if text is None:
        return None
    try:
        return Domain.from_json(text, origin="record").owner
    except StageError:
        return None


def _names_ours(live: Mapping[str, Any], settings: Settings) -> bool:
    """Whether every anchor that the record names has the subject that the configuration gives it.

    How a record of an earlier release, which says nothing of its stack, is known again after the
    bundle was renamed.
    """
    anchors = {each.subject for each in _anchors(live.get("data") or {}, "record", [])}
    configured = {
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, anchor.common_name)])
        for anchor in settings.anchors.values()
        if anchor.common_name is not None
    }
    configured |= {
        parse_certificates(anchor.certificate.pem, origin="anchor")[0].subject
        for anchor in settings.anchors.values()
        if anchor.certificate is not None
    }
    return bool(anchors & configured)


def _record(cluster: str, live: Mapping[str, Any], *, alone: bool = True) -> StageRecord:
    metadata, data = live["metadata"], live.get("data") or {}
    origin = f"ConfigMap {metadata.get('namespace', '')}/{metadata['name']}"
    problems: list[str] = []
    stage = domain = None
    try:
        stage = _stage(data, origin)
        if DOMAIN_KEY in data:
            domain = Domain.from_json(data[DOMAIN_KEY], origin=origin)
    except StageError as error:
        problems.append(str(error))
    anchors = tuple(_anchors(data, origin, problems))
    if stage is not None:
        problems += _unproven(stage, anchors, origin)
    return StageRecord(
        gate=GateObservation(
            cluster=cluster,
            stage=stage,
            changed_at=owned_since(metadata, "f:data", f"f:{STAGE_KEY}"),
            problem="; ".join(problems) or None,
            domain=domain,
            object_name=metadata["name"],
            roots=tuple(map(CaFacts.of, anchors)),
            cluster_names=cluster_names(metadata),
            vouches=alone,
        ),
        anchors=anchors,
        # Known by its anchors where it names no owner.
        owned=(replace(_owned(cluster, live), by_program=True),),
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
