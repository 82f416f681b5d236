"""Declares what istiod of each cluster signs with and trusts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi_tls as tls
from pulumi import Output

from mtls_pki.components.istio_ca_certs import IstioCaCerts, IstioCaCertsArgs
from mtls_pki.components.istio_registration import IstioRegistration, IstioRegistrationArgs
from mtls_pki.components.trust_anchor import CaProfile
from mtls_pki.consumers.declare import Declare, Place
from mtls_pki.consumers.istio.names import (
    authority_common_name,
    authority_not_before,
    istio_clusters,
    istio_settings,
    signer_name,
)
from mtls_pki.consumers.istio.objects import CERTIFICATES, SECRET
from mtls_pki.consumers.istio.section import NAME, IstioSettings
from mtls_pki.consumers.istio.values import registration_values, values
from mtls_pki.pki.bundle import append_bundle
from mtls_pki.settings.names import certifying_generations


class IstioDeclare(Declare):
    """What istiod of each cluster signs with, or who signs for it, and the values that it needs."""

    def declare(self) -> None:
        """Declare it in each cluster of the mesh."""
        istio = istio_settings(self.stack.settings)
        if istio is None:
            return
        if istio.signer == "cert-manager":
            self._register(istio)
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
                cluster: self._values(istio, cluster) for cluster in istio_clusters(settings)
            }
        }

    def _values(self, istio: IstioSettings, cluster: str) -> dict[str, Any]:
        settings = self.stack.settings
        if istio.signer == "istiod":
            return values(istio, trust_domain=settings.trust_domain, cluster=cluster)
        return registration_values(
            istio,
            trust_domain=settings.trust_domain,
            cluster=cluster,
            signer=signer_name(settings),
            roots=Output.all(*self.stack.roots).apply(append_bundle),
        )

    def _register(self, istio: IstioSettings) -> None:
        signing = self.stack.anchors[self.stack.settings.issuing_generation].signing
        if signing is None:
            # Refused by the settings' rules; an anchor that nobody has signed for yet cannot issue.
            return
        for cluster in istio_clusters(self.stack.settings):
            place = self.stack.clusters[cluster]
            declared = IstioRegistration(
                f"{cluster}-istio",
                IstioRegistrationArgs(
                    namespace=istio.namespace,
                    certificates_name=CERTIFICATES,
                    chain_pem=signing.chain_pem,
                    roots=self.stack.roots,
                    guard=place.guard,
                    delete_guard=place.delete_guard,
                    on_failure=place.on_failure,
                ),
                place.options,
            )
            place.keep(declared.guarded, f"consumer/{NAME}/{cluster}")

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
