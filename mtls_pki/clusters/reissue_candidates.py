"""The Certificates that cert-manager must issue again: still on an older CA, or failed.

Everything here is read with the rights of deploy/rbac-reissue.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cryptography import x509

from mtls_pki.clusters import local_clock
from mtls_pki.clusters.connection import Cluster, ClusterError
from mtls_pki.clusters.identity import cluster_uid, require_meant
from mtls_pki.clusters.recorded import (
    ISSUING,
    condition,
    conditions,
    decode_pem,
    issuance_failure,
)
from mtls_pki.clusters.sources.issuers import API, IssuerReference, stack_issuers
from mtls_pki.clusters.sources.stage_record import read_stage_record
from mtls_pki.errors import CommandError
from mtls_pki.pki.chain import signing_anchors
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.names import subject
from mtls_pki.pki.parsing import parse_certificate, parse_certificates
from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import issuing_ca_common_name

_NAME = "cert-manager.io/certificate-name"
_REVISION = "cert-manager.io/certificate-revision"


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is kept of a Certificate.

    Attributes:
        resource_version: of the object that was read; a write with another version is refused.
        generation: of its spec, for the condition's ``observedGeneration``.
        revision: how often it was issued, 0 if cert-manager did not count.
        conditions: all conditions of its status, as they are.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    revision: int
    conditions: tuple[Mapping[str, Any], ...]

    @property
    def place(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def issuing(self) -> bool:
        """Whether cert-manager is issuing it now."""
        return any(c["type"] == ISSUING and c["status"] == "True" for c in self.conditions)

    @property
    def failure(self) -> str | None:
        """Why its last issuance failed; None if it succeeded."""
        return issuance_failure(self.conditions)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadRequest:
    """A CertificateRequest that failed, and says not when.

    cert-manager makes another in its place only where it failed before the new issuance began
    (pkg/controller/certificates/requestmanager, deleteCurrentFailedRequests). Issuers of others
    leave ``failureTime`` out (step-issuer 0.12, aws-privateca-issuer 1.9), so each issuance after
    it fails by the same request, for ever.
    """

    name: str
    uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stale:
    """A Certificate that must be issued again.

    Attributes:
        why: its issuer has another CA than when it was issued, or its last issuance failed.
        issuer: that it names, where that matters.
        dead: the requests that keep cert-manager from issuing it.
    """

    certificate: Certificate
    why: str
    issuer: IssuerReference | None = None
    dead: tuple[DeadRequest, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the stable issuer issues from now.

    Attributes:
        stage: the recorded stage.
        generation: the generation that issues in it.
        fingerprint: the anchor's identity.
        authority: subject of its issuing CA; None if the anchor itself signs leaves. A name is
            enough here and no key is needed, because it decides only which leaves are issued again,
            never who is trusted.
        anchors: every anchor that the cluster records.
    """

    stage: TrustStage
    generation: str
    fingerprint: str
    authority: x509.Name | None
    anchors: tuple[x509.Certificate, ...]

    def why_stale(self, chain_pem: str) -> str | None:
        """Return why a leaf with this chain must be issued again; None if it need not."""
        try:
            chain = parse_certificates(chain_pem, origin="status.certificate")
        except PkiError as error:
            return f"its chain cannot be read: {error}"
        signers = {spki_sha256(anchor) for anchor in signing_anchors(chain, self.anchors)}
        if self.fingerprint not in signers:
            known = sorted(filter(None, map(self.stage.generation_of, signers)))
            return f"chains to {', '.join(known) or 'no recorded anchor'}"
        if self.authority is not None and chain[0].issuer != self.authority:
            return f"was issued by {chain[0].issuer.rfc4514_string()}"
        return None


def require_recorded(clusters: Iterable[Cluster], settings: Settings) -> None:
    """Make sure that each cluster is the one that the stack's records mean by its name.

    Raises:
        CommandError: one is not; `abandon` says that it was built again, as for an update.
        ClusterError: one has no record of this stack, or cannot be read.
    """
    found = []
    for cluster in clusters:
        uid, gate = cluster_uid(cluster), read_stage_record(cluster, settings).gate
        if gate is None:
            raise ClusterError(
                cluster.name,
                f"{cluster.server} has no record of this stack; correct kubeconfig and context of "
                f"clusters.{cluster.name}, or run `pulumi up` first",
            )
        found.append(ClusterEvidence(cluster=cluster.name, uid=uid, gate=gate))
    evidence = Evidence(observed_at=local_clock.now(), clusters=tuple(found))
    require_meant(cluster_refusals(evidence, evidence.pinned, abandon=settings.abandon))


def read_target(cluster: Cluster, settings: Settings) -> Target:
    """Return what the stable issuer of a cluster issues from.

    Raises:
        CommandError: the cluster has not reached the stage that the stack file asks for.
        ClusterError: it cannot be read.
    """
    record = read_stage_record(cluster, settings)
    generation = settings.issuing_generation
    if record.gate is None or record.gate.stage is None:
        problem = (record.gate.problem if record.gate else None) or "it records no stage"
        raise CommandError(f"cluster {cluster.name}: {problem}; run `pulumi up` first")
    stage = record.gate.stage
    if stage.issuing != generation:
        raise CommandError(
            f"cluster {cluster.name} records {stage.issuing} as issuing, and the stack file asks "
            f"for {generation}; run `pulumi up` first"
        )
    return Target(
        stage=stage,
        generation=generation,
        fingerprint=stage.anchors[generation].fingerprint or "",
        authority=_authority(settings, generation),
        anchors=record.anchors,
    )


def read_stale(
    cluster: Cluster, settings: Settings, target: Target, namespaces: Iterable[str]
) -> tuple[Stale, ...]:
    """Return the Certificates on the stable issuer that were not issued from ``target``.

    Those that were never issued are left out: cert-manager is working on them, and no workload
    serves an older certificate of them.

    Args:
        namespaces: to look in; all of them where it is empty.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    stable = frozenset(
        reference
        for reference in stack_issuers(settings)
        if reference.name == settings.issuing.name
    )
    scopes = _scopes(namespaces)
    issued = [
        found
        for scope in scopes
        for found in cluster.list_all(
            f"{API}{scope}/certificates", partial(_issued_on, stable, settings)
        )
    ]
    certificates = {certificate.uid: certificate for certificate, _ in issued}
    issuers = {certificate.uid: issuer for certificate, issuer in issued}
    by_place = {each.place: each for each in certificates.values()}

    def chain_of(live: dict[str, Any]) -> tuple[str, int, str | None] | None:
        made = _issued_for(live, by_place)
        if made is None:
            return None
        return (*made, target.why_stale(decode_pem(live["status"]["certificate"])))

    newest: dict[str, tuple[int, str | None]] = {}
    for scope in scopes:
        for uid, revision, why in cluster.list_all(f"{API}{scope}/certificaterequests", chain_of):
            newest[uid] = max(newest.get(uid, (0, None)), (revision, why), key=lambda one: one[0])
    gone = f"the CertificateRequest that shows its signer is gone, so {target.generation} is unsure"
    whys = {uid: newest[uid][1] if uid in newest else gone for uid in certificates}
    return tuple(
        Stale(certificate=certificates[uid], issuer=issuers[uid], why=why)
        for uid, why in whys.items()
        if why is not None
    )


def read_failed(
    cluster: Cluster, settings: Settings, namespaces: Iterable[str]
) -> tuple[Stale, ...]:
    """Return the Certificates on the stack's issuers whose last issuance failed.

    cert-manager waits for an hour, then for twice as long after each failure, even if the cause was
    corrected earlier (cert-manager, pkg/controller/certificates/trigger).

    Args:
        namespaces: to look in; all of them where it is empty.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    issuers = frozenset(stack_issuers(settings))

    def failed(live: dict[str, Any]) -> Stale | None:
        issuer = _reference(live, settings)
        if issuer not in issuers:
            return None
        certificate = certificate_of(live)
        why = certificate.failure
        return Stale(certificate=certificate, issuer=issuer, why=why) if why is not None else None

    scopes = _scopes(namespaces)
    found = [
        stale
        for scope in scopes
        for stale in cluster.list_all(f"{API}{scope}/certificates", failed)
    ]
    if not found:
        return ()
    dead: dict[str, list[DeadRequest]] = {}
    for scope in scopes:
        for owner, request in cluster.list_all(f"{API}{scope}/certificaterequests", _dead):
            dead.setdefault(owner, []).append(request)
    return tuple(replace(each, dead=tuple(dead.get(each.certificate.uid, ()))) for each in found)


def _dead(live: Mapping[str, Any]) -> tuple[str, DeadRequest] | None:
    """Return the uid of its Certificate and a request that failed without saying when."""
    ready = condition(live, "Ready") or {}
    if ready.get("reason") != "Failed" or live.get("status", {}).get("failureTime"):
        return None
    metadata = live["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == "Certificate":
            return owner["uid"], DeadRequest(name=metadata["name"], uid=metadata["uid"])
    return None


def _scopes(namespaces: Iterable[str]) -> list[str]:
    return [f"/namespaces/{namespace}" for namespace in namespaces] or [""]


def _reference(live: Mapping[str, Any], settings: Settings) -> IssuerReference:
    return IssuerReference.of(
        live["spec"]["issuerRef"], live["metadata"]["namespace"], settings.extensions.issuer_apis
    )


def _authority(settings: Settings, generation: str) -> x509.Name | None:
    issuing_ca = settings.anchors[generation].issuing_ca
    if issuing_ca is not None and issuing_ca.certificate is not None:
        origin = f"anchors.{generation}.issuingCa.certificate"
        return parse_certificate(issuing_ca.certificate.pem, origin=origin).subject
    intermediate = settings.issuing.issuing_ca
    if intermediate is None:
        return None
    return subject(issuing_ca_common_name(settings, generation, intermediate))


def _issued_on(
    issuers: frozenset[IssuerReference], settings: Settings, live: dict[str, Any]
) -> tuple[Certificate, IssuerReference] | None:
    """Return a Certificate that names one of ``issuers`` and was issued at least once."""
    issuer = _reference(live, settings)
    if issuer not in issuers:
        return None
    status = live.get("status", {})
    ready = condition(live, "Ready") or {}
    if not (status.get("revision") or status.get("notAfter") or ready.get("status") == "True"):
        return None
    return certificate_of(live), issuer


def certificate_of(live: Mapping[str, Any]) -> Certificate:
    """Return what is kept of a live Certificate."""
    metadata = live["metadata"]
    return Certificate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        revision=live.get("status", {}).get("revision") or 0,
        conditions=tuple(conditions(live)),
    )


def _issued_for(
    live: Mapping[str, Any], certificates: Mapping[str, Certificate]
) -> tuple[str, int] | None:
    """Return the uid of the Certificate that a request was issued for, and the revision.

    None for a request that is not issued, that is older than the certificate which its Certificate
    has, or that belongs to none of ``certificates`` (by ``namespace/name``).
    """
    metadata = live["metadata"]
    annotations = metadata.get("annotations") or {}
    certificate = certificates.get(f"{metadata['namespace']}/{annotations.get(_NAME)}")
    revision: str = annotations.get(_REVISION, "")
    if certificate is None or not revision.isdecimal() or int(revision) < certificate.revision:
        return None
    owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
    if not live.get("status", {}).get("certificate") or certificate.uid not in owners:
        return None
    return certificate.uid, int(revision)
