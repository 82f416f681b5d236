"""What the stack exports: its anchors, and the signing requests that wait for a signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from mtls_pki.backends.declare import Declare
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.consumers.declare import Declare as ConsumerDeclare
from mtls_pki.settings.model import Settings


def export(
    settings: Settings,
    anchors: Mapping[str, TrustAnchor],
    issuing: Mapping[str, Declare],
    consuming: Iterable[ConsumerDeclare],
) -> None:
    """Export what other stacks and people read."""
    _export_requests(settings, anchors, issuing)
    pulumi.export("trustDomain", settings.trust_domain)
    pulumi.export(
        "anchors",
        {
            generation: {
                "role": settings.anchors[generation].role.value,
                "fingerprint": anchor.fingerprint,
            }
            for generation, anchor in anchors.items()
        },
    )
    for each in issuing.values():
        for name, value in each.outputs(anchors).items():
            pulumi.export(name, value)
    for consumer in consuming:
        for name, value in consumer.outputs().items():
            pulumi.export(name, value)
    clusters_of_services = map(settings.clusters_of, settings.services.values())
    pulumi.export("certificates", sum(map(len, clusters_of_services)))


def _export_requests(
    settings: Settings, anchors: Mapping[str, TrustAnchor], issuing: Mapping[str, Declare]
) -> None:
    """Export the signing requests of issuing CAs that are signed offline, and say which wait."""
    requests = {
        generation: issuing[settings.backend_of(generation).name].request(
            generation, anchors[generation]
        )
        for generation, anchor in settings.anchors.items()
        if anchor.issuing_ca is not None and anchor.issuing_ca.private_key is None
    }
    for generation in requests:
        if settings.anchors[generation].awaits_signature:
            pulumi.log.warn(
                f"anchor {generation} does not issue yet: have its issuing CA signed (`pulumi "
                "stack output certificateSigningRequests` has the request, docs/ceremony.md the "
                "steps) "
                f"and put the certificate into anchors.{generation}.issuingCa.certificate"
            )
    pulumi.export("certificateSigningRequests", requests)
