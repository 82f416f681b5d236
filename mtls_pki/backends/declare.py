"""What the program asks of a backend while it declares resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from mtls_pki.components.issuer import Issuer
from mtls_pki.components.trust_anchor import RequestProfile, TrustAnchor
from mtls_pki.settings.model import IntermediateSettings, Settings
from mtls_pki.settings.names import issuing_ca_common_name, permitted_dns_domains_of


@dataclass(frozen=True, kw_only=True)
class IssuerPlace:
    """One issuer to declare.

    Attributes:
        resource_name: its Pulumi name.
        cluster: where it stands.
        generation: of the anchor that it issues from.
        name: of the object.
        secret_name: of its CA Secret, for backends that have one.
        namespace: of the object; None for a kind that has none.
        on_failure: says why an operation failed.
        guard: judges before anything that signs is written.
        delete_guard: judges whether it may be deleted.
        options: provider and dependencies.
    """

    resource_name: str
    cluster: str
    generation: str
    name: str
    secret_name: str
    namespace: str | None
    on_failure: pulumi.ErrorHook
    options: pulumi.ResourceOptions
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class Declare(ABC):
    """One run's declarations of one backend; a backend overrides what it has."""

    def __init__(self, settings: Settings, directory: Path, in_use: frozenset[str]) -> None:
        """Look whether the authority is ready for the stack, before the first change.

        Args:
            settings: of the stack.
            directory: of the project; relative file names start there.
            in_use: the generations of this backend from which a cluster has an issuer already.

        Raises:
            pulumi.RunError: it is not ready; with every reason.
        """
        del directory, in_use
        self.settings = settings

    def authority(
        self, anchors: Mapping[str, TrustAnchor], depends_on: Sequence[pulumi.Resource]
    ) -> None:
        """Declare what the authority holds of this stack, once for all clusters.

        Args:
            anchors: by generation.
            depends_on: the gates; a change of trust that a guard refuses stops before anything of
                it reaches the authority.
        """
        del anchors, depends_on

    def request(self, generation: str, anchor: TrustAnchor) -> pulumi.Output[str] | None:
        """Return the signing request (PEM) of an issuing CA that is signed offline."""
        del generation
        return anchor.request_pem

    def outputs(self, anchors: Mapping[str, TrustAnchor]) -> Mapping[str, Any]:
        """Return what the stack exports of it, for people and other stacks; never a secret."""
        del anchors
        return {}

    @abstractmethod
    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        """Declare one issuer of one cluster."""


def request_profile(settings: Settings, generation: str) -> RequestProfile:
    """Return what the signing request of the issuing CA below an anchor asks for."""
    intermediate = settings.issuing.issuing_ca or IntermediateSettings()
    return RequestProfile(
        common_name=issuing_ca_common_name(settings, generation, intermediate),
        path_length=intermediate.path_length,
        key_algorithm=intermediate.key_algorithm,
        permitted_dns_domains=permitted_dns_domains_of(settings, generation),
    )
