"""The leaves of one cluster, from public data alone: no Secret is read.

A CertificateRequest keeps the chain that its issuer returned, so the chain that a Certificate's
Secret holds is that of the request with the Certificate's own revision. Requests without a
Certificate (csi-driver, istio-csr) and Kubernetes' own CertificateSigningRequests are leaves of
their own. What nothing in the API server shows, such as a Secret whose Certificate was deleted, is
seen only by a handshake (``mtls_pki.clusters.sources.endpoints``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.deviations import differences
from mtls_pki.clusters.recorded import condition, decode_pem, owned_since, parse_time
from mtls_pki.clusters.sources.issuers import (
    API,
    IssuerReading,
    IssuerReference,
    read_issuers,
    stack_issuers,
)
from mtls_pki.clusters.sources.source import Issued, KnownTrust, Source
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.signatures import is_self_signed
from mtls_pki.pki.signer_names import GROUP, issuer_of_signer
from mtls_pki.rotation.evidence import LeafObservation, observe_leaf
from mtls_pki.settings.model import Settings

_CSR_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_NAME = "cert-manager.io/certificate-name"
_REVISION = "cert-manager.io/certificate-revision"

_Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Certificate:
    """The little that is kept of a Certificate; ``issued``: it was Ready at least once."""

    namespace: str
    name: str
    uid: str
    issuer: IssuerReference
    issued: bool
    revision: int | None
    not_before: datetime | None
    not_after: datetime | None
    issued_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Issued:
    """One issued chain, judged.

    Attributes:
        certificate: namespace and name of the Certificate that it was issued for, None for none.
        revision: which issuance for that Certificate it is, from 1; 0 where that is unknown.
        root: it is a self-signed CA, so it is an anchor and not a leaf.
    """

    leaf: LeafObservation
    issuer: IssuerReference
    certificate: _Key | None = None
    revision: int = 0
    root: bool = False


class CertManagerSource(Source):
    """cert-manager's issuers, and the leaves of its Certificates and requests."""

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        """Read the issuers and the leaves of one cluster."""
        issuers = read_issuers(cluster, settings)
        reader = LeafReader(
            cluster=cluster, settings=settings, anchors=trust.anchors, issuers=issuers, at=trust.at
        )
        return Issued(leaves=reader.read(), issuers=issuers.observations)


@dataclass(frozen=True, kw_only=True)
class LeafReader:
    """Reads the leaves of one cluster.

    Attributes:
        anchors: every certificate that may be an anchor, of all clusters.
        issuers: the issuers of this cluster.
        at: leaves that ended before are left out.
    """

    cluster: Cluster
    settings: Settings
    anchors: tuple[x509.Certificate, ...]
    issuers: IssuerReading
    at: datetime

    def read(self) -> tuple[LeafObservation, ...]:
        """Return every leaf of the trust domain that has not ended.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        # Certificates first: an issuance in between then shows as a newer request, not as a gap.
        certificates = {
            (each.namespace, each.name): each
            for each in self.cluster.list_all(
                f"{API}/certificates", partial(_certificate, self.settings)
            )
        }
        requests = self.cluster.list_all(
            f"{API}/certificaterequests", lambda live: self._request(live, certificates)
        )
        signed = self.cluster.list_all(_CSR_PATH, self._signing_request)
        found = [*self._of_certificates(certificates, requests), *signed]
        found = [each for each in found if not each.root and each.leaf.live(self.at)]
        foreign = _foreign_issuers(found) | self.issuers.self_signing
        return tuple(each.leaf for each in found if self._belongs(each, foreign))

    def _request(
        self, live: Mapping[str, Any], certificates: Mapping[_Key, _Certificate]
    ) -> _Issued | None:
        status, metadata, spec = live.get("status", {}), live["metadata"], live["spec"]
        if not status.get("certificate"):
            return None
        key, revision = _issued_for(metadata, certificates) or (None, 0)
        if key is not None and revision < (certificates[key].revision or 0):
            return None  # superseded: the Secret holds a later one
        reference = IssuerReference.of(
            spec["issuerRef"], metadata["namespace"], self.settings.extensions.issuer_apis
        )
        return _Issued(
            leaf=self._observe(live, "CertificateRequest", reference),
            issuer=reference,
            certificate=key,
            revision=revision,
            root=bool(spec.get("isCA")) and _is_root(decode_pem(status["certificate"])),
        )

    def _signing_request(self, live: Mapping[str, Any]) -> _Issued | None:
        if not live.get("status", {}).get("certificate"):
            return None
        issuer = issuer_of_signer(live["spec"]["signerName"])
        if issuer is None:
            return None
        reference = IssuerReference(group=GROUP, **issuer._asdict())
        return _Issued(
            leaf=self._observe(live, "CertificateSigningRequest", reference), issuer=reference
        )

    def _observe(
        self, live: Mapping[str, Any], kind: str, issuer: IssuerReference
    ) -> LeafObservation:
        metadata, status = live["metadata"], live["status"]
        return observe_leaf(
            cluster=self.cluster.name,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            kind=kind,
            declared=False,
            issuer=str(issuer),
            chain_pem=decode_pem(status["certificate"]),
            anchors=self.anchors,
            issuing_cas=_authorities(status.get("ca")),
            issued_at=owned_since(metadata, "f:status", "f:certificate"),
            unlike=self._differences(live, issuer),
        )

    def _of_certificates(
        self, certificates: Mapping[_Key, _Certificate], requests: Iterable[_Issued]
    ) -> Iterator[_Issued]:
        """Yield the current leaf of each Certificate, and every other issued chain as it is."""
        issued_for: dict[_Key, list[_Issued]] = {}
        for request in requests:
            if request.certificate is None:
                yield request
            else:
                issued_for.setdefault(request.certificate, []).append(request)
        for key, certificate in certificates.items():
            issued = sorted(issued_for.get(key, []), key=lambda each: each.revision)
            if certificate.issued:
                # None is older than the Certificate's revision, so the first is the current one,
                # or the next where that came about while the lists were read. A Certificate without
                # a revision took over a Secret that was there, which no request is about.
                if not issued or certificate.revision is None:
                    issued.insert(0, _unreadable(self.cluster.name, certificate))
                yield self._current(certificate, issued.pop(0))
            # An issuance under way: its Secret may be written at any moment.
            yield from issued

    def _current(self, certificate: _Certificate, issued: _Issued) -> _Issued:
        same = issued.revision == (certificate.revision or 0)
        leaf = replace(
            issued.leaf,
            kind="Certificate",
            name=certificate.name,
            declared=(certificate.namespace, certificate.name) in self._declared,
            issued_at=(certificate.issued_at if same else None) or issued.leaf.issued_at,
        )
        return replace(issued, leaf=leaf)

    def _differences(self, live: Mapping[str, Any], issuer: IssuerReference) -> tuple[str, ...]:
        """How the leaf differs from its request, where the signer has rules of its own."""
        generation = self._issuers_of_stack.get(issuer)
        if generation is None:
            return ()
        backend = self.settings.backend_of(generation)
        if not backend.decides_leaves:
            return ()
        return tuple(differences(live, remedy_for_short=backend.remedy_for_short_leaves))

    @cached_property
    def _issuers_of_stack(self) -> dict[IssuerReference, str]:
        return stack_issuers(self.settings)

    @cached_property
    def _declared(self) -> frozenset[_Key]:
        return frozenset(
            (service.namespace, service.name or name)
            for name, service in self.settings.services.items()
            if self.cluster.name in self.settings.clusters_of(service)
        )

    def _belongs(self, issued: _Issued, foreign: Set[IssuerReference]) -> bool:
        """Whether a leaf is one of the trust domain.

        One whose signer is unknown belongs to it (fail closed) unless its issuer is known to sign
        for others.
        """
        if issued.leaf.signers or issued.leaf.declared or issued.issuer in self.issuers.of_stack:
            return True
        return issued.leaf.problem is not None and issued.issuer not in foreign


def _certificate(settings: Settings, live: Mapping[str, Any]) -> _Certificate:
    metadata, status = live["metadata"], live.get("status", {})
    ready = condition(live, "Ready") or {}
    revision = status.get("revision")
    return _Certificate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        issuer=IssuerReference.of(
            live["spec"]["issuerRef"], metadata["namespace"], settings.extensions.issuer_apis
        ),
        issued=bool(revision or status.get("notAfter") or ready.get("status") == "True"),
        revision=revision,
        not_before=parse_time(status.get("notBefore")),
        not_after=parse_time(status.get("notAfter")),
        # Owned by the controller that raises the revision when it has written the Secret.
        issued_at=owned_since(metadata, "f:status", "f:revision"),
    )


def _issued_for(
    metadata: Mapping[str, Any], certificates: Mapping[_Key, _Certificate]
) -> tuple[_Key, int] | None:
    """Return the living Certificate that a request was made for, and the revision, if there is one.

    A request of a Certificate that is gone, or was made again under its name, is nobody's: the
    Secret that was written from it may still be there.
    """
    annotations = metadata.get("annotations") or {}
    key = (metadata["namespace"], annotations.get(_NAME, ""))
    certificate = certificates.get(key)
    owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
    revision: str = annotations.get(_REVISION, "")
    if certificate is None or not revision.isdecimal():
        return None
    return (key, int(revision)) if not owners or certificate.uid in owners else None


def _unreadable(cluster: str, certificate: _Certificate) -> _Issued:
    """Stand in for the chain of a Certificate that nothing readable shows."""
    which = f" of revision {certificate.revision}" if certificate.revision else ""
    leaf = LeafObservation(
        cluster=cluster,
        namespace=certificate.namespace,
        name=certificate.name,
        kind="Certificate",
        declared=False,
        signers=frozenset(),
        issuer=str(certificate.issuer),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        problem=f"its CertificateRequest{which} is gone, so only its Secret shows who signed it; "
        f"have it issued again (cmctl renew -n {certificate.namespace} {certificate.name})",
    )
    return _Issued(leaf=leaf, issuer=certificate.issuer, revision=certificate.revision or 0)


def _authorities(encoded: str | None) -> Iterator[x509.Certificate]:
    """Yield what the issuer named as its CA, for chains that come without their intermediate."""
    try:
        yield from parse_certificates(decode_pem(encoded), origin="status.ca")
    except PkiError:
        return


def _is_root(pem: str) -> bool:
    try:
        return is_self_signed(parse_certificates(pem, origin="root")[0])
    except PkiError:
        return False


def _foreign_issuers(found: Iterable[_Issued]) -> frozenset[IssuerReference]:
    """Return the issuers of which only leaves of other CAs are seen, and at least one."""
    readable = [each for each in found if each.leaf.problem is None]
    ours = {each.issuer for each in readable if each.leaf.signers}
    return frozenset({each.issuer for each in readable} - ours)
