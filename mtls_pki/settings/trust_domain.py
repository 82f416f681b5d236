"""From the stack's settings to a rotation's own types: places, dates, acknowledgements, stages."""

from __future__ import annotations

from collections.abc import Mapping

from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import describe, parse_certificate, parse_certificates
from mtls_pki.rotation.domain import BundleForm, Domain
from mtls_pki.rotation.evidence import BundlePlace
from mtls_pki.rotation.request import AnchorFacts, ChangeRequest
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.transitions import Acknowledgement
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.names import declared_issuers, issuing_ca_not_before


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


def configured_domain(settings: Settings, clusters: Mapping[str, str]) -> Domain:
    """Return what the configuration makes the trust domain consist of, apart from its anchors.

    Args:
        settings: the stack's settings.
        clusters: cluster -> UID of its namespace ``kube-system``, for those that were read.
    """
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


def change_request(settings: Settings, *, old: TrustStage | None, new: TrustStage) -> ChangeRequest:
    """Return the change from ``old`` to ``new``, ready to be judged by the rules of a rotation."""
    return ChangeRequest(
        trust_domain=settings.trust_domain,
        old=old,
        new=new,
        facts={
            generation: _facts(settings, generation, anchor)
            for generation, anchor in settings.anchors.items()
        },
        places=bundle_places(settings),
        hold_down=settings.trust.hold_down,
        acknowledgements={
            generation: Acknowledgement(
                fingerprint=anchor.fingerprint, accept_outage=anchor.accept_outage
            )
            for generation, anchor in settings.anchors.items()
            if not anchor.role.trusted
        },
    )


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
        issuing_ca_not_after=issuing_ca_not_before(anchor, intermediate) + intermediate.valid_for
        if intermediate
        else None,
    )


def _brought_facts(generation: str, root_pem: str, anchor: AnchorSettings) -> AnchorFacts:
    root = describe(parse_certificates(root_pem, origin=f"anchors.{generation}.certificate")[0])
    issuing_end = None
    if anchor.issuing_ca is not None and anchor.issuing_ca.certificate is not None:
        origin = f"anchors.{generation}.issuingCa.certificate"
        issuing = parse_certificates(anchor.issuing_ca.certificate.pem, origin=origin)[0]
        issuing_end = describe(issuing).not_after
    return AnchorFacts(
        common_name=root.subject,
        not_before=root.not_before,
        not_after=root.not_after,
        issuing_ca_not_after=issuing_end,
    )
