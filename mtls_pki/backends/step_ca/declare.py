"""What is declared of the step-ca of each generation, and of the issuers that ask it to sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.backends.declare import Declare, IssuerPlace
from mtls_pki.backends.step_ca.backend import STEP_ISSUER
from mtls_pki.backends.step_ca.names import (
    is_external,
    longest_allowed,
    step_ca_generations,
    step_ca_name,
    step_ca_settings,
    step_ca_url,
)
from mtls_pki.backends.step_ca.rules import SHORTEST_LEAF
from mtls_pki.backends.step_ca.section import ExternalStepCaSettings, PasswordSettings
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.kubernetes_options import owned
from mtls_pki.components.step_ca import StepCa, StepCaArgs, StepProvisioner, service_spec
from mtls_pki.components.step_issuer import StepIssuer, StepIssuerArgs
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.pki.fingerprints import der_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import issuer_name


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """By which provisioner an issuer asks; ``password`` is None where its Secret is not ours."""

    provisioner: str
    kid: pulumi.Input[str]
    secret: PasswordSettings
    password: pulumi.Output[str] | None = None


class StepCaDeclare(Declare):
    """One provisioner for each generation, its step-ca in each cluster, and the issuers."""

    def __init__(self, settings: Settings, directory: Path, in_use: frozenset[str]) -> None:
        super().__init__(settings, directory, in_use)
        self._provisioners: dict[str, StepProvisioner] = {}
        self._authorities: dict[tuple[str, str], StepCa] = {}
        self._roots: Mapping[str, TrustAnchor] = {}

    def authority(
        self, anchors: Mapping[str, TrustAnchor], depends_on: Sequence[pulumi.Resource]
    ) -> None:
        section = step_ca_settings(self.settings)
        self._roots = anchors
        for generation in step_ca_generations(self.settings):
            if is_external(self.settings, generation):
                continue
            self._provisioners[generation] = StepProvisioner(
                step_ca_name(self.settings, generation),
                section.provisioner,
                # It comes and goes with its anchor, and is made by the same provider.
                pulumi.ResourceOptions(parent=anchors[generation], depends_on=depends_on),
            )

    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        external = step_ca_settings(self.settings).external.get(place.generation)
        if external is not None:
            return self._external(place, external)
        authority = self._authority(place, anchor)
        provisioner = self._provisioners[place.generation]
        name = step_ca_name(self.settings, place.generation)
        asked = _Asked(
            provisioner=provisioner.provisioner_name,
            kid=provisioner.kid,
            password=provisioner.password,
            secret=PasswordSettings(
                namespace=step_ca_settings(self.settings).namespace,
                name=f"{name}-provisioner-password",
            ),
        )
        issuer = StepIssuer(
            place.resource_name, self._issuer_args(place, asked), authority, place.options
        )
        # The stable issuer asks the same step-ca, which one of the two keeps.
        if place.name == issuer_name(self.settings, place.generation):
            issuer.guarded += authority.guarded
        return issuer

    def outputs(self, anchors: Mapping[str, TrustAnchor]) -> Mapping[str, Any]:
        """Return what `step ca bootstrap` asks for: address and fingerprint, and the root."""
        found = {
            generation: {
                "url": step_ca_url(self.settings, generation),
                "fingerprint": anchors[generation].certificate_pem.apply(_step_fingerprint),
                "root": anchors[generation].certificate_pem,
            }
            for generation in step_ca_generations(self.settings)
            if self.settings.anchors[generation].role.trusted
        }
        return {"stepCa": found}

    def _external(self, place: IssuerPlace, external: ExternalStepCaSettings) -> Issuer:
        asked = _Asked(
            provisioner=external.provisioner, kid=external.kid, secret=external.password_secret
        )
        return StepIssuer(place.resource_name, self._issuer_args(place, asked), None, place.options)

    def _issuer_args(self, place: IssuerPlace, asked: _Asked) -> StepIssuerArgs:
        settings = self.settings
        return StepIssuerArgs(
            kind=STEP_ISSUER.kind(settings.issuing.kind),
            issuer_name=place.name,
            namespace=place.namespace,
            url=step_ca_url(settings, place.generation),
            roots=self._trusted(place.generation),
            provisioner_name=asked.provisioner,
            kid=asked.kid,
            password=asked.password,
            password_secret=asked.secret.name,
            password_key=asked.secret.key,
            password_namespace=asked.secret.namespace,
            cert_manager=(
                settings.cert_manager.namespace,
                settings.cert_manager.service_account,
            ),
            ready_timeout=settings.issuing.ready_timeout,
            on_failure=place.on_failure,
            guard=place.guard,
            delete_guard=place.delete_guard,
        )

    def _authority(self, place: IssuerPlace, anchor: TrustAnchor) -> StepCa:
        """Declare the step-ca of a generation in a cluster, once for all of its issuers."""
        key = (place.cluster, place.generation)
        if key not in self._authorities:
            self._authorities[key] = self._step_ca(place, anchor)
            if place.generation == self.settings.issuing_generation:
                self._service(place, self._authorities[key])
        return self._authorities[key]

    def _service(self, place: IssuerPlace, authority: StepCa) -> None:
        """Declare the Service for people, by what it is: it moves from one step-ca to another."""
        section = step_ca_settings(self.settings)
        if section.deploy:
            Service(
                f"{place.cluster}/{section.namespace}/{section.name}",
                metadata=ObjectMetaArgs(
                    name=section.name, namespace=section.namespace, annotations=owned()
                ),
                spec=service_spec(step_ca_name(self.settings, place.generation)),
                opts=pulumi.ResourceOptions.merge(
                    place.options, pulumi.ResourceOptions(depends_on=[authority])
                ),
            )

    def _step_ca(self, place: IssuerPlace, anchor: TrustAnchor) -> StepCa:
        settings, section = self.settings, step_ca_settings(self.settings)
        if anchor.signing is None:
            raise ValueError(f"{place.name}: its anchor has no issuing CA here")
        name = step_ca_name(settings, place.generation)
        return StepCa(
            f"{place.cluster}-{name}",
            StepCaArgs(
                name=name,
                namespace=section.namespace,
                signing=anchor.signing,
                roots=self._trusted(place.generation),
                provisioner=self._provisioners[place.generation],
                url=step_ca_url(settings, place.generation),
                shared_service=section.name,
                cluster_domain=settings.clusters[place.cluster].cluster_domain,
                shortest_leaf=SHORTEST_LEAF,
                longest_leaf=longest_allowed(settings),
                deploy=section.deploy,
                image=section.image,
                storage=section.storage,
                issuer_namespace=section.issuer_namespace,
                on_failure=place.on_failure,
                guard=place.guard,
                delete_guard=place.delete_guard,
            ),
            place.options,
        )

    def _trusted(self, generation: str) -> list[pulumi.Output[str]]:
        """The roots that whoever asks this step-ca is to trust, that of the step-ca first."""
        others = [
            name
            for name, anchor in self.settings.anchors.items()
            if anchor.role.trusted and name != generation
        ]
        return [self._roots[name].certificate_pem for name in (generation, *others)]


def _step_fingerprint(root_pem: str) -> str:
    """SHA-256 of the whole certificate, as `step certificate fingerprint` prints it."""
    return der_sha256(parse_certificate(root_pem, origin="root"))
