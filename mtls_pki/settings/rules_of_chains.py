"""The rule on what verifiers make of a brought chain: it is tried on the leaf of each service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.pki.ca_facts import AuthorityKey, CaFacts
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.chain import check_root, verify_issuing_ca
from mtls_pki.pki.expected import KeyFacts, expected_issuing_ca
from mtls_pki.pki.leaf_facts import IssuingChain, LeafFacts
from mtls_pki.pki.name_constraints import GeneralNames
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.path import verify_leaf
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.leaf_limits import dns_names
from mtls_pki.settings.model import AnchorSettings, IntermediateSettings, Settings
from mtls_pki.settings.names import (
    issuing_ca_common_name,
    permitted_dns_domains_of,
    spiffe_id,
)

_MOMENT = timedelta(seconds=1)


def brought_chains_verify(settings: Settings) -> Iterator[Mistake]:
    """Demand that every verifier takes the leaf that each service would get below a brought root.

    A name constraint of any kind, or an extension that a verifier does not know, breaks every leaf
    below it, and cert-manager issues them all the same (RFC 5280, sections 4.2.1.10 and 6.1). The
    constraints of anchors that do not issue yet count too, because services move to them.
    """
    for generation, anchor in settings.anchors.items():
        chain = _chain(settings, generation, anchor)
        if chain is None or anchor.certificate is None:
            continue
        root, issuing = chain
        told: dict[str, list[str]] = {}
        for name in settings.services:
            reason = _refusal(_leaf(settings, name, issuing), root)
            if reason is not None:
                told.setdefault(reason, []).append(name)
        given = anchor.issuing_ca.certificate if anchor.issuing_ca else None
        file = given.path if given else anchor.certificate.path
        for reason, names in told.items():
            more = f" and of {len(names) - 1} more" if len(names) > 1 else ""
            yield Mistake(
                path=f"anchors.{generation}.{'issuingCa' if given else 'certificate'}",
                message=f"{file}: verifiers would refuse the leaf of services.{names[0]}{more}: "
                f"{reason}; have the CA made without that, or change what the service asks for",
            )


def _chain(
    settings: Settings, generation: str, anchor: AnchorSettings
) -> tuple[CaFacts, CaFacts] | None:
    """Root and issuing CA of a brought anchor; None where it has none, or they are unsound."""
    if anchor.certificate is None or anchor.issuing_ca is None:
        return None
    if check_root(anchor.certificate.pem):
        return None
    signer = parse_certificate(anchor.certificate.pem, origin="root")
    root, given = CaFacts.of(signer), anchor.issuing_ca.certificate
    if given is None:
        intermediate = settings.issuing.issuing_ca or IntermediateSettings()
        return root, expected_issuing_ca(
            key=KeyFacts.pending(generation),
            common_name=issuing_ca_common_name(settings, generation, intermediate),
            validity=Validity(not_before=root.not_before, not_after=root.not_after),
            path_length=intermediate.path_length,
            permitted_dns_domains=permitted_dns_domains_of(settings, generation),
            root=root,
        )
    if verify_issuing_ca(given.pem, None, anchor.certificate.pem):
        return None
    return root, CaFacts.of(parse_certificate(given.pem, origin="issuing CA"), (signer,))


def _leaf(settings: Settings, name: str, issuing: CaFacts) -> LeafFacts:
    """The leaf of a service, as cert-manager would have it signed."""
    service = settings.services[name]
    dns = tuple(sorted(dns_names(settings, name)))
    common = () if dns or service.common_name is None else (service.common_name,)
    return LeafFacts(
        chain=IssuingChain(
            presented=(issuing,),
            issuer=issuing.subject,
            authority_key=AuthorityKey(key_id=issuing.subject_key_id),
            signer=issuing.spki,
        ),
        not_before=issuing.not_before,
        not_after=issuing.not_after,
        names=GeneralNames(
            dns=dns,
            uri=(spiffe_id(name, service, settings.trust_domain),),
            ip=service.ip_addresses,
            email=service.email_addresses,
            common=common,
        ),
    )


def _refusal(leaf: LeafFacts, root: CaFacts) -> str | None:
    """Why a verifier refuses the leaf while all dates are good; None if none does."""
    issuing = leaf.chain.presented[0]
    # There is no clock here; whether they are valid now is judged where there is one.
    found = verify_leaf(leaf, frozenset({root}), max(root.not_before, issuing.not_before) + _MOMENT)
    return None if found.everywhere else found.reason
