"""Helm values of Gloo Mesh with which it takes its certificates from this stack."""

from __future__ import annotations

from typing import Any

from mtls_pki.consumers.gloo import objects
from mtls_pki.consumers.gloo.section import GlooSettings, MeshRootSettings


def management_values(gloo: GlooSettings) -> dict[str, Any]:
    """Return the values of the management server: generated certificates are off."""
    own = not gloo.signing
    signing = {"signingTlsSecret": {"name": objects.SIGNING_SECRET}} if gloo.signing else {}
    if gloo.release == "v1":
        return {
            "selfSigned": False,
            "disableRelayCa": own,
            "relayTlsSecret": {"name": objects.SERVER_SECRET},
            **signing,
        }
    relay = {
        "tlsSecret": {"name": objects.SERVER_SECRET},
        "disableCa": own,
        "disableCaCertGeneration": True,
        "disableTokenGeneration": own,
        **signing,
    }
    if gloo.release == "v2.0":
        return {"glooMeshMgmtServer": {"relay": relay}}
    return {
        "common": {"cluster": gloo.management},
        "glooMgmtServer": {"enabled": True, "relay": relay},
        "telemetryGatewayCustomization": {"disableCertGeneration": True},
        "telemetryCollectorCustomization": {
            "serverName": f"gloo-telemetry-gateway.{gloo.namespace}"
        },
    }


def mesh_object(gloo: GlooSettings, root: MeshRootSettings) -> dict[str, Any]:
    """Return what makes Gloo sign the CAs of the meshes with the CA of this stack.

    Selectors and federation are the user's, so it is no whole object: kind, API and ``spec``.
    """
    secret = {"name": root.secret_name, "namespace": gloo.namespace}
    if gloo.release == "v1":
        return {
            "apiVersion": "networking.mesh.gloo.solo.io/v1",
            "kind": "VirtualMesh",
            "spec": {"mtlsConfig": {"shared": {"rootCertificateAuthority": {"secret": secret}}}},
        }
    return {
        "apiVersion": "admin.gloo.solo.io/v2",
        "kind": "RootTrustPolicy",
        "spec": {"config": {"mgmtServerCa": {"secretRef": secret}}},
    }


def agent_values(gloo: GlooSettings, cluster: str) -> dict[str, Any]:
    """Return the values of the agent of a workload cluster; ``MGMT_LB`` is the user's address."""
    server = "enterprise-networking" if gloo.release == "v1" else "gloo-mesh-mgmt-server"
    relay = {
        "serverAddress": "MGMT_LB:9900",
        "authority": f"{server}.{gloo.namespace}",
        "rootTlsSecret": {"name": objects.ROOT_SECRET},
    }
    client = {"name": objects.CLIENT_SECRET}
    if gloo.release == "v1":
        return {"relay": {"cluster": cluster, **relay, "clientCertSecret": client}}
    if gloo.release == "v2.0":
        return {"relay": {"cluster": cluster, **relay, "clientTlsSecret": client}}
    return {
        "common": {"cluster": cluster},
        "glooAgent": {"enabled": True, "relay": {**relay, "clientTlsSecret": client}},
    }
