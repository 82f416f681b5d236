"""Declares what istiod of each cluster signs with and trusts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi_tls as tls

from mtls_pki.components.istio_ca_certs import IstioCaCerts, IstioCaCertsArgs
from mtls_pki.components.trust_anchor import CaProfile
from mtls_pki.consumers.declare import Declare, Place
from mtls_pki.consumers.istio.names import (
    authority_common_name,
    authority_not_before,
    istio_clusters,
    istio_settings,
)
from mtls_pki.consumers.istio.objects import CERTIFICATES, SECRET
from mtls_pki.consumers.istio.section import NAME, IstioSettings
from mtls_pki.consumers.istio.values import values
from mtls_pki.settings.names import certifying_generations


class IstioDeclare(Declare):
    """``cacerts`` of each cluster, and the values that its istiod needs."""

    def declare(self) -> None:
        """Declare ``cacerts`` in each cluster of the mesh."""
        istio = istio_settings(self.stack.settings)
        if istio is None:
            return
        provider = tls.Provider("tls-istio")
        for cluster in istio_clusters(self.stack.settings):
            place = self.stack.clusters[cluster]
            declared = IstioCaCerts(
                f"{cluster}-istio",
                self._args(istio, cluster, place),
                place.options,
                key_provider=provider,
            )
            place.keep(declared.guarded, f"consumer/{NAME}/{cluster}")

    def outputs(self) -> Mapping[str, Any]:
        """Return ``istioValues``: Helm values of the chart ``istiod``, by cluster."""
        settings = self.stack.settings
        istio = istio_settings(settings)
        if istio is None:
            return {}
        return {
            "istioValues": {
                cluster: values(istio, trust_domain=settings.trust_domain, cluster=cluster)
                for cluster in istio_clusters(settings)
            }
        }

    def _args(self, istio: IstioSettings, cluster: str, place: Place) -> IstioCaCertsArgs:
        return IstioCaCertsArgs(
            namespace=istio.namespace,
            secret_name=SECRET,
            certificates_name=CERTIFICATES,
            authorities={
                generation: self._profile(istio, cluster, generation)
                for generation in certifying_generations(self.stack.settings)
            },
            authority_generation=istio.authority.generation,
            anchors=self.stack.anchors,
            issuing=self.stack.settings.issuing_generation,
            roots=self.stack.roots,
            guard=place.guard,
            delete_guard=place.delete_guard,
            on_failure=place.on_failure,
        )

    def _profile(self, istio: IstioSettings, cluster: str, generation: str) -> CaProfile:
        settings = self.stack.settings
        begin = authority_not_before(settings.anchors[generation], istio)
        return CaProfile(
            common_name=authority_common_name(settings, istio, cluster, generation),
            not_before=begin,
            not_after=begin + istio.authority.valid_for,
            path_length=0,
            key_algorithm=istio.authority.key_algorithm,
            organization=istio.organization,
            locality=cluster,
        )
