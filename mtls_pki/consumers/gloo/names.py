"""Names and dates that follow from ``consumers.gloo``."""

from __future__ import annotations

from datetime import datetime

from mtls_pki.consumers.gloo.section import NAME, GlooSettings, MeshRootSettings
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.names import certified_from, derived_common_name


def gloo_settings(settings: Settings) -> GlooSettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, GlooSettings) else None


def gloo_clusters(settings: Settings) -> tuple[str, ...]:
    """Return the clusters that take part in the relay, in the order of the stack."""
    gloo = gloo_settings(settings)
    taking = {gloo.management, *gloo.workloads} if gloo else set()
    return tuple(cluster for cluster in settings.clusters if cluster in taking)


def relay_common_name(settings: Settings, gloo: GlooSettings, generation: str) -> str:
    """Return the subject of the relay's CA below an anchor."""
    return derived_common_name(settings, f"relay-{generation}-{gloo.authority.generation}")


def authority_not_before(anchor: AnchorSettings, gloo: GlooSettings) -> datetime:
    """Return when the CA below a generated anchor starts: never before its root."""
    return certified_from(anchor, gloo.authority.valid_from)


def certificates_not_before(anchor: AnchorSettings, gloo: GlooSettings) -> datetime:
    """Return when the certificates start: never before their CA."""
    begin = authority_not_before(anchor, gloo)
    return max(begin, gloo.certificates.valid_from or begin)


def mesh_common_name(settings: Settings, root: MeshRootSettings, generation: str) -> str:
    """Return the subject of the mesh's CA below an anchor."""
    return derived_common_name(settings, f"mesh-{generation}-{root.generation}")


def mesh_not_before(anchor: AnchorSettings, root: MeshRootSettings) -> datetime:
    """Return when the mesh's CA below a generated anchor starts: never before its root."""
    return certified_from(anchor, root.valid_from)


def server_names(gloo: GlooSettings) -> tuple[str, ...]:
    """Return the names of the server: those that agents of any release ask for.

    Each is written out beside the wildcard of Gloo's own samples, which some verifiers refuse below
    a single label (gRPC core, ssl_transport_security.cc).
    """
    servers = ("enterprise-networking", "gloo-mesh-mgmt-server")
    return (f"*.{gloo.namespace}", *(f"{server}.{gloo.namespace}" for server in servers))


def telemetry_names(gloo: GlooSettings) -> tuple[str, ...]:
    """Return the names of the telemetry gateway."""
    return (f"gloo-telemetry-gateway.{gloo.namespace}",)
