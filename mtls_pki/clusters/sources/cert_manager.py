"""The leaves of one cluster, from public data alone: no content of a Secret is read.

A CertificateRequest keeps the chain that its issuer returned, so the chain that a Certificate's
Secret holds is that of the request with the Certificate's own revision. Where that request is gone,
the leaf is attributed to the issuer of its issuance, which need not be the one that the Certificate
names now. Requests without a Certificate (csi-driver, istio-csr) and Kubernetes' own
CertificateSigningRequests are leaves of their own, and so are Secrets that no Certificate keeps any
more. What the API server does not show is said (``Untraceable``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from cryptography import x509

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.deviations import differences
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.recorded import (
    certificates_in,
    condition,
    conditions,
    decode_pem,
    issuance_failure,
    owned_since,
    parse_time,
    tried_again_at,
)
from mtls_pki.clusters.sources.attribution import NOBODY, Attribution, StackIssuers
from mtls_pki.clusters.sources.issuers import (
    API,
    Authority,
    IssuerReading,
    IssuerReference,
    read_issuers,
    stack_issuers,
)
from mtls_pki.clusters.sources.source import Issued, KnownTrust, Source
from mtls_pki.clusters.sources.written_secrets import (
    MANIFEST,
    WrittenSecret,
    read_written_secrets,
)
from mtls_pki.pki.signatures import is_self_signed
from mtls_pki.pki.signer_names import GROUP, issuer_of_signer
from mtls_pki.rotation.evidence import IssuerUse, LeafObservation, Untraceable
from mtls_pki.rotation.guards.observed import LEFT_BEHIND
from mtls_pki.rotation.moved import may_have_followed
from mtls_pki.rotation.observation import observe_leaf
from mtls_pki.rotation.owned_object import Claim, OwnedObject
from mtls_pki.settings.leaf_limits import longest_leaf
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stack_secrets

_CSR_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_NAME = "cert-manager.io/certificate-name"
_REVISION = "cert-manager.io/certificate-revision"
# cert-manager, pkg/apis/certmanager/v1/const.go: of a Certificate that asks for no lifetime.
_DEFAULT_LIFETIME = timedelta(days=90)

_Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Certificate:
    """The little that is kept of a Certificate.

    ``as_created``: its spec was never changed. ``issued``: it was Ready at least once.
    ``owned``: whose it is, where the stack declares it or has left it.
    """

    namespace: str
    name: str
    uid: str
    issuer: IssuerReference
    issuer_since: datetime | None
    as_created: bool
    secret: str
    authority: bool
    created_at: datetime | None
    issued: bool
    revision: int | None
    not_before: datetime | None
    not_after: datetime | None
    issued_at: datetime | None
    owned: OwnedObject | None
    failure: str | None
    again_at: datetime | None
    renewal_at: datetime | None

    @property
    def key(self) -> _Key:
        return self.namespace, self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class _Issued:
    """One issued chain, judged.

    Attributes:
        issuer: of its issuance, None where that is not known.
        certificate: namespace and name of the Certificate that it was issued for, None for none.
        revision: which issuance for that Certificate it is, from 1; 0 where that is unknown.
        root: it is a self-signed CA, so it is an anchor and not a leaf.
    """

    leaf: LeafObservation
    issuer: IssuerReference | None
    certificate: _Key | None = None
    revision: int = 0
    root: bool = False


class CertManagerSource(Source):
    """cert-manager's issuers, and the leaves of its Certificates and requests."""

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        """Read the issuers and the leaves of one cluster."""
        issuers = read_issuers(cluster, settings)
        return LeafReader(cluster=cluster, settings=settings, trust=trust, issuers=issuers).read()


@dataclass(kw_only=True)
class LeafReader:
    """Reads the leaves of one cluster.

    Attributes:
        trust: what may be an anchor, of all clusters; leaves that ended before are left out.
        issuers: the issuers of this cluster.
    """

    cluster: Cluster
    settings: Settings
    trust: KnownTrust
    issuers: IssuerReading
    # Issuer -> requests that nobody keeps for as long as their leaves live.
    _unkept: dict[IssuerReference, list[str]] = field(default_factory=dict)
    _secrets: dict[_Key, WrittenSecret] | None = None

    def read(self) -> Issued:
        """Return every leaf of the trust domain that has not ended, and what shows not all of its.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        # Secrets first, then Certificates: an issuance in between then shows as a newer request,
        # not as a gap.
        self._secrets = read_written_secrets(self.cluster, self.settings)
        certificates = self._certificates()
        requests = self.cluster.list_all(
            f"{API}/certificaterequests", lambda live: self._request(live, certificates)
        )
        signed = self.cluster.list_all(_CSR_PATH, self._signing_request)
        if gaps := set(_gaps(certificates, requests)):
            # An issuance came between the lists, or it goes on and does not end.
            certificates |= {key: each for key, each in self._certificates().items() if key in gaps}
        found = [
            *self._of_certificates(certificates, requests),
            *self._of_secrets(certificates),
            *signed,
        ]
        attribution = self._attribution(certificates, [*found, *requests])
        found = [_attributed(each, attribution) for each in found if not each.root]
        longest = self._longest(found)
        leaves = (_bounded(each.leaf, longest) for each in found if self._belongs(each, longest))
        return Issued(
            leaves=tuple(leaf for leaf in leaves if leaf.live(self.trust.at)),
            issuers=self.issuers.observations,
            untraceable=tuple(self._untraceable(attribution)),
            uses=tuple(self._uses(certificates.values())),
            remarks=tuple(self._second_writers(certificates.values())),
            owned=(
                *self.issuers.owned,
                *(each.owned for each in certificates.values() if each.owned is not None),
            ),
        )

    def _uses(self, certificates: Iterable[_Certificate]) -> Iterator[IssuerUse]:
        """Yield who names an issuer that the stack has, has left, or had when it was recorded."""
        names = {str(issuer) for issuer in stack_issuers(self.settings)}
        names |= {f"{each.kind}/{each.name}" for each in self.issuers.owned}
        for gate in self.trust.gates:
            names |= gate.domain.issuers.keys() if gate.domain is not None else set()
        for each in certificates:
            if str(each.issuer) in names:
                yield IssuerUse(
                    cluster=self.cluster.name,
                    namespace=each.namespace,
                    name=each.name,
                    issuer=str(each.issuer),
                    declared=each.key in self._declared,
                    failure=each.failure,
                    again_at=each.again_at,
                    renewal_at=each.renewal_at,
                )

    def _second_writers(self, certificates: Iterable[_Certificate]) -> Iterator[str]:
        """Yield who makes cert-manager write into a Secret that has a writer already.

        cert-manager takes a Secret by force, whoever wrote it (pkg/controller/certificates/issuing,
        internal/secret.go), so the two take turns.
        """
        written = dict.fromkeys(stack_secrets(self.settings, self.cluster.name), "this stack")
        written |= {
            (each.namespace, each.secret): f"Certificate {each.name} of this stack"
            for each in certificates
            if each.key in self._declared
        }
        for each in certificates:
            owner = written.get((each.namespace, each.secret))
            if owner is not None and each.key not in self._declared:
                yield (
                    f"Certificate {each.namespace}/{each.name} writes into the Secret "
                    f"{each.secret}, which belongs to {owner}; delete that Certificate, or give it "
                    "another spec.secretName, then `pulumi up --refresh`"
                )

    def _untraceable(self, attribution: Attribution) -> Iterator[Untraceable]:
        if self._secrets is None:
            yield Untraceable(
                namespace="",
                kind=LEFT_BEHIND,
                name="",
                reason="the Secrets that cert-manager wrote cannot be listed, so a leaf whose "
                f"Certificate is gone is not seen; grant what {MANIFEST} grants",
            )
        for issuer, requests in sorted(self._unkept.items(), key=lambda each: str(each[0])):
            if attribution.signers(issuer) == NOBODY:
                continue
            more = f" and {len(requests) - 1} more" if len(requests) > 1 else ""
            yield Untraceable(
                namespace=issuer.namespace or "",
                kind=issuer.kind,
                name=issuer.name,
                reason=f"it signs requests that nothing keeps ({min(requests)}{more}); whoever "
                "made them may remove them while their leaves live",
            )

    def _certificates(self) -> dict[_Key, _Certificate]:
        claim = self.settings.claim
        keep = partial(_certificate, self.settings, claim, self.cluster.name, self._declared)
        found = self.cluster.list_all(f"{API}/certificates", keep)
        return {each.key: each for each in found}

    def _request(
        self, live: Mapping[str, Any], certificates: Mapping[_Key, _Certificate]
    ) -> _Issued | None:
        status, metadata, spec = live.get("status", {}), live["metadata"], live["spec"]
        reference = IssuerReference.of(
            spec["issuerRef"], metadata["namespace"], self.settings.extensions.issuer_apis
        )
        if not (_made_for(metadata) or metadata.get("ownerReferences")):
            self._unkept.setdefault(reference, []).append(
                f"CertificateRequest {metadata['namespace']}/{metadata['name']}"
            )
        if not status.get("certificate"):
            return None
        key, revision = _issued_for(metadata, certificates) or (None, 0)
        if key is not None and revision < (certificates[key].revision or 0) - 1:
            return None  # superseded, and so is what took its place
        root = bool(spec.get("isCA")) and _is_root(certificates_in(status["certificate"]))
        return _Issued(
            leaf=self._observe(live, "CertificateRequest", reference),
            issuer=reference,
            certificate=key,
            revision=revision,
            root=root,
        )

    def _signing_request(self, live: Mapping[str, Any]) -> _Issued | None:
        issuer = issuer_of_signer(live["spec"]["signerName"])
        if issuer is None:
            return None
        reference = IssuerReference(group=GROUP, **issuer._asdict())
        # kube-controller-manager removes them one hour after they were approved.
        self._unkept.setdefault(reference, []).append(
            f"CertificateSigningRequest {live['metadata']['name']}"
        )
        if not live.get("status", {}).get("certificate"):
            return None
        return _Issued(
            leaf=self._observe(live, "CertificateSigningRequest", reference), issuer=reference
        )

    def _observe(
        self, live: Mapping[str, Any], kind: str, issuer: IssuerReference
    ) -> LeafObservation:
        metadata, status = live["metadata"], live["status"]
        leaf = observe_leaf(
            cluster=self.cluster.name,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            kind=kind,
            declared=False,
            issuer=str(issuer),
            chain_pem=decode_pem(status["certificate"]),
            anchors=self.trust.anchors,
            issuing_cas=certificates_in(status.get("ca")),
            issued_at=owned_since(metadata, "f:status", "f:certificate"),
            unlike=self._differences(live, issuer),
        )
        return replace(leaf, authority=bool(live["spec"].get("isCA")), predecessor=NOBODY)

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
            current = certificate.revision or 0
            before = [each for each in issued if each.revision < current]
            issued = [each for each in issued if each.revision >= current]
            if certificate.issued:
                # A Certificate without a revision took over a Secret that was there, which no
                # request is about.
                if not issued or certificate.revision is None or issued[0].revision > current:
                    issued.insert(0, self._unread(certificate))
                yield self._current(certificate, issued.pop(0), before)
            # An issuance under way: its Secret may be written at any moment.
            yield from issued

    def _current(
        self, certificate: _Certificate, issued: _Issued, before: Iterable[_Issued]
    ) -> _Issued:
        leaf = replace(
            issued.leaf,
            kind="Certificate",
            name=certificate.name,
            declared=certificate.key in self._declared,
            issued_at=certificate.issued_at or issued.leaf.issued_at,
            authority=certificate.authority or issued.leaf.authority,
            revision=certificate.revision,
            predecessor=self._predecessor(certificate, before),
            issuer_since=self._issuer_since(certificate),
        )
        return replace(issued, leaf=leaf, certificate=certificate.key)

    def _predecessor(
        self, certificate: _Certificate, before: Iterable[_Issued]
    ) -> frozenset[str] | None:
        """Return who signed the leaf before the current one, None where nothing shows it."""
        for each in before:
            if each.revision + 1 == certificate.revision and each.leaf.problem is None:
                return each.leaf.signers
        if certificate.revision != 1:
            return None
        secret = (self._secrets or {}).get((certificate.namespace, certificate.secret))
        # A Certificate that was deleted and made again finds its Secret, and begins at 1.
        inherited = (
            secret is not None
            and secret.created_at is not None
            and certificate.created_at is not None
            and secret.created_at < certificate.created_at
        )
        return None if inherited else NOBODY

    def _issuer_since(self, certificate: _Certificate) -> datetime | None:
        """Return since when the issuer is what it is; one that is not listed never changed."""
        named = certificate.issuer_since
        changed = self.issuers.changed_at.get(certificate.issuer, named)
        return None if changed is None or named is None else max(changed, named)

    def _unread(self, certificate: _Certificate) -> _Issued:
        """Stand in for the chain of a Certificate that no request shows."""
        namespace, name = certificate.key
        issuer = self._issuer_of_issuance(certificate)
        which = f" of revision {certificate.revision}" if certificate.revision else ""
        grant = "" if self._secrets is not None else f"grant what {MANIFEST} grants, or "
        leaf = LeafObservation(
            cluster=self.cluster.name,
            namespace=namespace,
            name=name,
            kind="Certificate",
            declared=False,
            signers=NOBODY,
            issuer=str(issuer or certificate.issuer),
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            problem=f"its CertificateRequest{which} is gone, and nothing else shows under which "
            f"anchor its issuer was then; {grant}have it issued again "
            f"(cmctl renew -n {namespace} {name}); where that does not end, correct what "
            f"`cmctl status certificate -n {namespace} {name}` says, or delete it with its Secret",
        )
        return _Issued(leaf=leaf, issuer=issuer, revision=certificate.revision or 0)

    def _issuer_of_issuance(self, certificate: _Certificate) -> IssuerReference | None:
        """Return the issuer that signed the current leaf, which may not be the one named now."""
        if certificate.as_created and certificate.revision is not None:
            return certificate.issuer
        signed = certificate.not_before
        if signed is None:
            return None
        secret = (self._secrets or {}).get((certificate.namespace, certificate.secret))
        # One that was written before is that of a leaf before.
        if (
            secret is not None
            and secret.certificate == certificate.name
            and secret.issuer is not None
            and secret.written_at is not None
            and secret.written_at >= signed
        ):
            return secret.issuer
        if certificate.issuer_since is not None and certificate.issuer_since < signed:
            return certificate.issuer
        return None

    def _of_secrets(self, certificates: Mapping[_Key, _Certificate]) -> Iterator[_Issued]:
        """Yield a leaf for each Secret whose Certificate is gone or names another Secret."""
        for secret in (self._secrets or {}).values():
            certificate = certificates.get((secret.namespace, secret.certificate))
            if certificate and certificate.issued and certificate.secret == secret.name:
                continue
            leaf = LeafObservation(
                cluster=self.cluster.name,
                namespace=secret.namespace,
                name=secret.name,
                kind=LEFT_BEHIND,
                declared=False,
                signers=NOBODY,
                issuer=str(secret.issuer or "an unknown issuer"),
                not_before=None,
                not_after=None,
                issued_at=secret.written_at,
                problem=f"no Certificate keeps it (it was written for {secret.certificate}), and "
                "nothing shows under which anchor its issuer was then; delete it once no workload "
                f"mounts it (kubectl delete secret -n {secret.namespace} {secret.name})",
                authority=Authority("Secret", secret.namespace, secret.name)
                in self.issuers.authorities.values(),
                predecessor=NOBODY,
            )
            yield _Issued(leaf=leaf, issuer=secret.issuer)

    def _attribution(
        self, certificates: Mapping[_Key, _Certificate], seen: Iterable[_Issued]
    ) -> Attribution:
        made: dict[Authority, frozenset[str] | IssuerReference | None] = {}
        ours: set[IssuerReference] = set()
        for each in seen:
            if each.issuer is not None and each.leaf.signers:
                ours.add(each.issuer)
            place = _made_authority(each, certificates)
            # Of several, the one that may lead to an anchor: leaves below it may be alive.
            if place is not None and made.get(place, NOBODY) == NOBODY:
                made[place] = each.leaf.signers if each.leaf.problem is None else each.issuer
        return Attribution(
            stack=StackIssuers(settings=self.settings, gates=self.trust.gates),
            issuers=self.issuers,
            ours=frozenset(ours),
            made=made,
        )

    def _longest(self, found: Iterable[_Issued]) -> timedelta:
        """Return the longest lifetime that a leaf of the domain is known to have or to have had."""
        recorded = [each.domain.longest_lifetime for each in self.trust.gates if each.domain]
        seen = [
            each.leaf.not_after - each.leaf.not_before
            for each in found
            if each.leaf.signers and not each.leaf.authority
            if each.leaf.not_before is not None and each.leaf.not_after is not None
        ]
        return max((longest_leaf(self.settings), *recorded, *seen))

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

    def _belongs(self, issued: _Issued, longest: timedelta) -> bool:
        """Whether a leaf is one of the trust domain: by its chain, its issuer or who declared it.

        One whose signer is unknown belongs to it (fail closed), and so does one that has just taken
        the place of a leaf that may.
        """
        leaf = issued.leaf
        if leaf.signers or leaf.declared or leaf.problem is not None:
            return True
        if issued.issuer in self._issuers_of_stack:
            return True
        since = leaf.in_place_since
        if since is None or since + self.settings.trust.hold_down <= self.trust.at:
            return False
        return may_have_followed(leaf, longest)


def _attributed(issued: _Issued, attribution: Attribution) -> _Issued:
    """Return a leaf whose chain nothing shows with the signers that its issuer has."""
    if issued.leaf.problem is None:
        return issued
    signers = attribution.signers(issued.issuer)
    if signers is None:
        return issued
    return replace(issued, leaf=replace(issued.leaf, signers=signers, problem=None))


def _bounded(leaf: LeafObservation, longest: timedelta) -> LeafObservation:
    """Return the leaf of a Secret, whose own end nothing shows, with the latest that it can be."""
    if leaf.kind != LEFT_BEHIND or leaf.issued_at is None:
        return leaf
    return replace(leaf, not_after=leaf.issued_at + max(longest, _DEFAULT_LIFETIME))


def _made_authority(issued: _Issued, certificates: Mapping[_Key, _Certificate]) -> Authority | None:
    """Return the Secret that an issuer can sign with, if the leaf is in one and is a CA."""
    leaf = issued.leaf
    if leaf.kind == LEFT_BEHIND:
        return Authority("Secret", leaf.namespace, leaf.name)
    certificate = certificates.get(issued.certificate) if issued.certificate else None
    if certificate is None or not certificate.authority:
        return None
    return Authority("Secret", certificate.namespace, certificate.secret)


def _certificate(
    settings: Settings,
    claim: Claim,
    cluster: str,
    declared: Set[_Key],
    live: Mapping[str, Any],
) -> _Certificate:
    metadata, spec, status = live["metadata"], live["spec"], live.get("status", {})
    ready = condition(live, "Ready") or {}
    owned = owned_object(cluster, "Certificate", metadata)
    revision = status.get("revision")
    return _Certificate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        issuer=IssuerReference.of(
            spec["issuerRef"], metadata["namespace"], settings.extensions.issuer_apis
        ),
        issuer_since=owned_since(metadata, "f:spec", "f:issuerRef"),
        as_created=metadata.get("generation") == 1,
        secret=spec.get("secretName", ""),
        authority=bool(spec.get("isCA")),
        created_at=parse_time(metadata.get("creationTimestamp")),
        issued=bool(revision or status.get("notAfter") or ready.get("status") == "True"),
        revision=revision,
        not_before=parse_time(status.get("notBefore")),
        not_after=parse_time(status.get("notAfter")),
        # Owned by the controller that raises the revision when it has written the Secret.
        issued_at=owned_since(metadata, "f:status", "f:revision"),
        owned=owned if (metadata["namespace"], metadata["name"]) in declared else claim.left(owned),
        failure=issuance_failure(conditions(live)),
        again_at=tried_again_at(status),
        renewal_at=parse_time(status.get("renewalTime")),
    )


def _gaps(certificates: Mapping[_Key, _Certificate], requests: Iterable[_Issued]) -> Iterator[_Key]:
    """Yield Certificates of which a later revision was issued, and the current one is gone."""
    revisions: dict[_Key, set[int]] = {}
    for each in requests:
        if each.certificate is not None:
            revisions.setdefault(each.certificate, set()).add(each.revision)
    for key, issued in revisions.items():
        current = certificates[key].revision or 0
        if current and current not in issued and max(issued) > current:
            yield key


def _made_for(metadata: Mapping[str, Any]) -> str:
    """Return the name of the Certificate that a request was made for, empty for none."""
    return str((metadata.get("annotations") or {}).get(_NAME, ""))


def _issued_for(
    metadata: Mapping[str, Any], certificates: Mapping[_Key, _Certificate]
) -> tuple[_Key, int] | None:
    """Return the living Certificate that a request was made for, and the revision, if there is one.

    A request of a Certificate that is gone, or was made again under its name, is nobody's: the
    Secret that was written from it may still be there.
    """
    annotations = metadata.get("annotations") or {}
    key = (metadata["namespace"], _made_for(metadata))
    certificate = certificates.get(key)
    owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
    revision: str = annotations.get(_REVISION, "")
    if certificate is None or not revision.isdecimal():
        return None
    return (key, int(revision)) if not owners or certificate.uid in owners else None


def _is_root(chain: tuple[x509.Certificate, ...]) -> bool:
    return bool(chain) and is_self_signed(chain[0])
