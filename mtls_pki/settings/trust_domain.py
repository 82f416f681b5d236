"""From the stack's settings to a rotation's own types: places, dates, acknowledgements, stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtls_pki.pki.ca_facts import CaFacts, DistinguishedName, interchangeable
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.expected import KeyFacts, expected_issuing_ca, expected_root
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.names import subject as subject_of
from mtls_pki.pki.parsing import describe, parse_certificate, parse_certificates
from mtls_pki.rotation.domain import BundleForm, Domain, counting_hold_down
from mtls_pki.rotation.evidence import BundlePlace, Evidence
from mtls_pki.rotation.request import AnchorFacts, ChangeRequest
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.transitions import Acknowledgement
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.names import (
    declared_issuers,
    issuing_ca_common_name,
    issuing_ca_not_before,
)


def bundle_forms(settings: Settings) -> tuple[BundleForm, ...]:
    """Return every form in which the bundle is distributed, the present one first."""
    trust = settings.trust
    present = BundleForm(name=trust.name, key=trust.key, via=trust.via)
    return (
        present,
        *(BundleForm(name=form.name, key=form.key, via=form.via) for form in trust.formerly),
    )


def bundle_places(settings: Settings) -> tuple[BundlePlace, ...]:
    """Return every place where a verifier of the domain reads the trust bundle."""
    return tuple(
        BundlePlace(cluster=cluster, namespace=namespace, name=form.name, key=form.key)
        for cluster in settings.clusters
        for form in bundle_forms(settings)
        for namespace in settings.trust.namespaces
    )


def partner_roots(settings: Settings) -> dict[str, str]:
    """Return the root of each partner as PEM."""
    return {name: each.certificate.pem for name, each in settings.trust.partners.items()}


def partner_fingerprints(settings: Settings) -> dict[str, str]:
    """Return the identity of each partner's root."""
    return {
        name: spki_sha256(parse_certificate(pem, origin=f"trust.partners.{name}.certificate"))
        for name, pem in partner_roots(settings).items()
    }


def configured_domain(
    settings: Settings, clusters: Mapping[str, str], stage: TrustStage | None = None
) -> Domain:
    """Return what the configuration makes the trust domain consist of, apart from its anchors.

    Args:
        settings: the stack's settings.
        clusters: cluster -> UID of its namespace ``kube-system``, for those that were read.
        stage: with the identities of the anchors, for the record.
    """
    generations = {
        anchor.fingerprint: generation
        for generation, anchor in (stage.anchors.items() if stage else ())
        if anchor.fingerprint is not None
    }
    lifetimes = [settings.issuing.leaf.duration]
    lifetimes += [each.duration for each in settings.services.values() if each.duration is not None]
    return Domain(
        owner=settings.owner,
        trust_domain=settings.trust_domain,
        clusters={name: clusters.get(name, "") for name in settings.clusters},
        bundles=frozenset(bundle_forms(settings)),
        namespaces=frozenset(settings.trust.namespaces),
        issuers=declared_issuers(settings),
        hold_down=settings.trust.hold_down,
        longest_lifetime=max(lifetimes),
        distrusted=frozenset(
            anchor.fingerprint
            for anchor in settings.anchors.values()
            if not anchor.role.trusted and anchor.fingerprint is not None
        ),
        partners=partner_fingerprints(settings),
        generations=generations,
        issued=frozenset(
            fingerprint
            for fingerprint, generation in generations.items()
            if stage and stage.role(generation) is not Role.INCOMING
        ),
        consumers=frozenset(
            f"{row.name}/{cluster}"
            for row in settings.extensions.consumers
            if row.clusters is not None and settings.consumers.section(row.name) is not None
            for cluster in row.clusters(settings)
        ),
    )


def configured_stage(settings: Settings, fingerprints: Mapping[str, str | None]) -> TrustStage:
    """Return the stage that the configuration asks for.

    Args:
        settings: the stack's settings.
        fingerprints: generation -> identity of its anchor; None where the key does not exist yet.
    """
    return TrustStage(
        anchors={
            generation: Anchor(role=anchor.role, fingerprint=fingerprints.get(generation))
            for generation, anchor in settings.anchors.items()
        },
        canaries={
            f"{service.namespace}/{service.name or name}": service.anchor
            for name, service in settings.services.items()
            if service.anchor is not None and service.anchor != settings.issuing_generation
        },
    )


def change_request(
    settings: Settings, evidence: Evidence, *, old: TrustStage | None, new: TrustStage
) -> ChangeRequest:
    """Return the change from ``old`` to ``new``, ready to be judged by the rules of a rotation.

    Args:
        settings: the stack's settings.
        evidence: what the clusters show: records, and keys whose certificates are configured.
        old: the stage that a cluster records.
        new: the stage that the configuration asks for.
    """
    recorded = evidence.recorded_domain
    roots, issuing = configured_certificates(settings, new, evidence)
    return ChangeRequest(
        trust_domain=settings.trust_domain,
        old=old,
        new=new,
        facts={
            generation: _facts(settings, generation, anchor)
            for generation, anchor in settings.anchors.items()
        },
        places=bundle_places(settings),
        hold_down=counting_hold_down(settings.trust.hold_down, recorded, evidence.observed_at),
        claim=settings.claim,
        acknowledgements={
            generation: Acknowledgement(
                fingerprint=anchor.fingerprint, accept_outage=anchor.accept_outage
            )
            for generation, anchor in settings.anchors.items()
            if not anchor.role.trusted
        },
        recorded=recorded,
        domain=configured_domain(settings, cluster_uids(evidence)),
        abandon=frozenset(settings.abandon),
        roots=roots,
        issuing=issuing,
        declared=_declared_certificates(settings),
    )


def _declared_certificates(settings: Settings) -> frozenset[tuple[str, str, str]]:
    """Cluster, namespace and name of each Certificate; none while its anchor cannot issue."""
    return frozenset(
        (cluster, service.namespace, service.name or name)
        for name, service in settings.services.items()
        for cluster in settings.clusters_of(service)
        if settings.anchors[settings.generation_of(service)].can_issue
    )


def cluster_uids(evidence: Evidence) -> dict[str, str]:
    """Return the UID of each cluster that could be read."""
    return {each.cluster: each.uid for each in evidence.reachable if each.uid is not None}


def configured_certificates(
    settings: Settings, stage: TrustStage, evidence: Evidence
) -> tuple[dict[str, CaFacts], dict[str, tuple[CaFacts, ...]]]:
    """Return what verifiers will judge once the configuration is applied.

    Certificates are a function of key and configuration, so this needs no private key: of an anchor
    whose key exists, the key is known from its certificate in the clusters.

    Returns:
        The trusted roots by generation (and ``partner NAME``), and what the leaves of each
        generation present besides themselves.
    """
    known = tuple(dict.fromkeys(evidence.known_cas))
    roots: dict[str, CaFacts] = {}
    issuing: dict[str, tuple[CaFacts, ...]] = {}
    for generation in stage.trusted:
        anchor = settings.anchors.get(generation)
        if anchor is None:
            # A stage that is recorded, and from which the file has removed the anchor.
            fingerprint = stage.anchors[generation].fingerprint
            kept = [ca for ca in known if ca.spki == fingerprint and ca.self_signed]
            roots |= dict.fromkeys([generation], kept[0]) if kept else {}
            continue
        roots[generation] = _root(anchor, generation, stage, known)
        presented = _presented(settings, anchor, generation, roots[generation], known)
        if presented is not None:
            issuing[generation] = presented
    for name, pem in partner_roots(settings).items():
        origin = f"trust.partners.{name}.certificate"
        roots[f"partner {name}"] = CaFacts.of(parse_certificate(pem, origin=origin))
    return roots, issuing


def _root(
    anchor: AnchorSettings, generation: str, stage: TrustStage, known: Sequence[CaFacts]
) -> CaFacts:
    if anchor.certificate is not None:
        origin = f"anchors.{generation}.certificate"
        return CaFacts.of(parse_certificate(anchor.certificate.pem, origin=origin))
    if anchor.common_name is None or anchor.valid_from is None or anchor.not_after is None:
        raise ValueError(f"anchor {generation} has neither a certificate nor subject and dates")
    fingerprint = stage.anchors[generation].fingerprint
    found = next((ca for ca in known if ca.spki == fingerprint), None)
    return expected_root(
        key=_key(found, generation),
        common_name=anchor.common_name,
        validity=Validity(not_before=anchor.valid_from, not_after=anchor.not_after),
        path_length=anchor.path_length,
    )


def known_root(anchor: AnchorSettings, evidence: Evidence) -> CaFacts | None:
    """Return the root in the clusters that is the configured one by all but its key, if any."""
    if anchor.common_name is None or anchor.valid_from is None or anchor.not_after is None:
        return None
    for found in evidence.known_cas:
        if not found.self_signed or found.subject_key_id is None:
            continue
        expected = expected_root(
            key=KeyFacts(spki=found.spki, subject_key_id=found.subject_key_id),
            common_name=anchor.common_name,
            validity=Validity(not_before=anchor.valid_from, not_after=anchor.not_after),
            path_length=anchor.path_length,
        )
        same_dates = (found.not_before, found.not_after) == (anchor.valid_from, anchor.not_after)
        if same_dates and interchangeable(found, expected):
            return found
    return None


def _presented(
    settings: Settings,
    anchor: AnchorSettings,
    generation: str,
    root: CaFacts,
    known: Sequence[CaFacts],
) -> tuple[CaFacts, ...] | None:
    """What leaves present; None for an anchor that nothing can be issued from here."""
    if anchor.certificate is not None:
        given = anchor.issuing_ca.certificate if anchor.issuing_ca else None
        if given is None:
            return None
        origin = f"anchors.{generation}.issuingCa.certificate"
        signer = parse_certificate(anchor.certificate.pem, origin=f"anchors.{generation}")
        return (CaFacts.of(parse_certificate(given.pem, origin=origin), (signer,)),)
    intermediate = settings.issuing.issuing_ca
    if intermediate is None:
        return ()
    subject = DistinguishedName.of(
        subject_of(issuing_ca_common_name(settings, generation, intermediate))
    )
    found = next((ca for ca in known if ca.subject == subject and ca.signer == root.spki), None)
    begin = issuing_ca_not_before(anchor, intermediate)
    return (
        expected_issuing_ca(
            key=_key(found, f"{generation}-{intermediate.generation}"),
            common_name=issuing_ca_common_name(settings, generation, intermediate),
            validity=Validity(not_before=begin, not_after=begin + intermediate.valid_for),
            path_length=intermediate.path_length,
            permitted_dns_domains=intermediate.permitted_dns_domains,
            root=root,
        ),
    )


def _key(certificate: CaFacts | None, label: str) -> KeyFacts:
    if certificate is None or certificate.subject_key_id is None:
        return KeyFacts.pending(label)
    return KeyFacts(spki=certificate.spki, subject_key_id=certificate.subject_key_id)


def _facts(settings: Settings, generation: str, anchor: AnchorSettings) -> AnchorFacts:
    if anchor.certificate is not None:
        return _brought_facts(generation, anchor.certificate.pem, anchor)
    if anchor.common_name is None or anchor.valid_from is None or anchor.not_after is None:
        raise ValueError(f"anchor {generation} has neither a certificate nor subject and dates")
    intermediate = settings.issuing.issuing_ca
    return AnchorFacts(
        common_name=anchor.common_name,
        not_before=anchor.valid_from,
        not_after=anchor.not_after,
        issuing_ca_not_before=issuing_ca_not_before(anchor, intermediate) if intermediate else None,
        issuing_ca_not_after=issuing_ca_not_before(anchor, intermediate) + intermediate.valid_for
        if intermediate
        else None,
    )


def _brought_facts(generation: str, root_pem: str, anchor: AnchorSettings) -> AnchorFacts:
    root = describe(parse_certificates(root_pem, origin=f"anchors.{generation}.certificate")[0])
    issuing = None
    if anchor.issuing_ca is not None and anchor.issuing_ca.certificate is not None:
        origin = f"anchors.{generation}.issuingCa.certificate"
        issuing = describe(parse_certificates(anchor.issuing_ca.certificate.pem, origin=origin)[0])
    return AnchorFacts(
        common_name=root.subject,
        not_before=root.not_before,
        not_after=root.not_after,
        issuing_ca_not_before=issuing.not_before if issuing else None,
        issuing_ca_not_after=issuing.not_after if issuing else None,
    )
