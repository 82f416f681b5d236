"""The trust anchors of a stack: one component for each generation."""

from __future__ import annotations

import pulumi
import pulumi_tls as tls

from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.program.arguments import trust_anchor_args
from mtls_pki.program.hooks import KeyGuard
from mtls_pki.settings.model import Settings


def declare_anchors(settings: Settings, guard: KeyGuard) -> dict[str, TrustAnchor]:
    """Declare every generation; the one that issues cannot be deleted before it is unprotected."""
    provider = tls.Provider("tls")
    return {
        generation: TrustAnchor(
            generation,
            trust_anchor_args(settings, generation, guard.hook(generation)),
            pulumi.ResourceOptions(
                provider=provider, protect=anchor.role.issues and not settings.given_up
            ),
        )
        for generation, anchor in settings.anchors.items()
    }
